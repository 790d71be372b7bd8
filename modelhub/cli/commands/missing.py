"""`modelhub missing`: what the catalog knows and the disk does not."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import civitai_client, opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.errors import UsageError
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.services.missing import MissingFile
    from modelhub.services.pull import PullOutcome


@click.command()
@click.argument("query", nargs=-1)
@click.option("--pull", "pull_", is_flag=True, help="Get back what Civitai has.")
@click.option("--forget", "forget_", is_flag=True, help="Drop them from the catalog.")
@click.option("--yes", is_flag=True, help="With --forget: do not ask.")
@json_option
@pass_app
def command(
    app: App, /, query: tuple[str, ...], pull_: bool, forget_: bool, yes: bool, as_json: bool
) -> None:
    """List files that are gone, and get them back.

    A file is missing since an index did not find it where it was, nor anywhere else; files of a
    disk that is not mounted are not missing. For each it is told whether its content is elsewhere
    in the library, and the command that fetches the very same file from Civitai.

    What you wrote about a file hangs on its content: it stays with --forget, and is back when the
    file is.

    \b
    Examples:
      modelhub missing
      modelhub missing type:lora --pull
      modelhub missing 'path:old/' --forget
    """
    from modelhub.services.missing import missing

    if pull_ and forget_:
        raise UsageError("--pull and --forget exclude each other")
    outcomes: list[PullOutcome] = []
    forgotten = 0
    with opened_catalog(app) as catalog:
        found = missing(catalog, " ".join(query))
        if pull_:
            outcomes = _pull(app, catalog, found)
        if not as_json:
            _print(app, found, outcomes)
        if forget_ and found:
            forgotten = _forget(app, catalog, found, yes=yes)
    if as_json:
        print_json(_document(found, outcomes, forgotten))
    _leave(outcomes)


def _pull(app: App, catalog: Catalog, found: list[MissingFile]) -> list[PullOutcome]:
    """Fetch what is nowhere else, each content once."""
    from modelhub.services.pull import PullOptions, pull

    wanted = list(dict.fromkeys(one.reference for one in found if one.reference))
    present = {one.reference for one in found if one.elsewhere}
    wanted = [reference for reference in wanted if reference not in present]
    if not wanted:
        app.say("nothing to pull: Civitai has none of them, or their content is here")
        return []
    with civitai_client(app) as client, app.progress() as listener:
        return pull(
            wanted,
            PullOptions(),
            config=app.config,
            client=client,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
        )


def _forget(app: App, catalog: Catalog, found: list[MissingFile], *, yes: bool) -> int:
    from modelhub.services.missing import forget

    words = plural(len(found), "missing file")
    if not yes and not app.confirm(f"Drop {words} from the catalog?"):
        app.say("nothing was forgotten; --yes answers where nobody can be asked")
        return 0
    number = forget(catalog, found)
    app.say(f"{plural(number, 'file')} forgotten; what you wrote about them is kept")
    return number


def _print(app: App, found: list[MissingFile], outcomes: list[PullOutcome]) -> None:
    columns: list[Column[MissingFile]] = [
        Column("File", lambda one: one.path, flexible=True, middle=True),
        Column("Size", lambda one: one.size, show=human_size, right=True),
        Column("Since", lambda one: one.since, show=_day),
        Column("Was", lambda one: one.published, flexible=True),
        Column("To have it again", _remedy, flexible=True),
    ]
    print_table(columns, found)
    if not found:
        app.say("nothing is missing")
    from modelhub.cli.commands.pull import print_outcomes

    print_outcomes(app, outcomes, as_json=False)


def _remedy(one: MissingFile) -> str:
    if one.elsewhere:
        return f"is at {one.elsewhere[0]}"
    if one.command:
        return one.command
    if one.gone_at is not None:
        return f"gone from Civitai since {_day(one.gone_at)}"
    return "not known to Civitai"


def _day(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d}"


def _document(
    found: list[MissingFile], outcomes: list[PullOutcome], forgotten: int
) -> dict[str, Any]:
    from modelhub.cli.commands.pull import document

    files = [dataclasses.asdict(one) | {"command": one.command} for one in found]
    pulled = [document(outcome) for outcome in outcomes]
    return {"missing": files, "pulled": pulled, "forgotten": forgotten}


def _leave(outcomes: list[PullOutcome]) -> None:
    from modelhub.cli.commands.pull import exit_code

    code = exit_code(outcomes)
    if code:
        click.get_current_context().exit(code)
