"""`modelhub updates`: newer versions of what is here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import civitai_client, opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.services.pull import PullOutcome
    from modelhub.services.updates import Update, UpdatesReport


@click.command()
@click.argument("query", nargs=-1)
@click.option(
    "--any-base", is_flag=True, help="Also versions for base models of which nothing is here."
)
@click.option(
    "--all", "unavailable", is_flag=True, help="Also what cannot be downloaded: early access ..."
)
@click.option("--pull", "pull_", is_flag=True, help="Pull the newest of each model and base model.")
@json_option
@pass_app
def command(
    app: App,
    /,
    query: tuple[str, ...],
    any_base: bool,
    unavailable: bool,
    pull_: bool,
    as_json: bool,
) -> None:
    """Find newer versions of what is here.

    QUERY, in the search language, narrows down of which files. Civitai is asked once about each
    model that `modelhub match` or a pull made known. A newer version is one that was published
    after the newest here of the same base model. Models that Civitai has no more are named, and
    stay described here.

    \b
    Examples:
      modelhub updates
      modelhub updates type:lora --pull
      modelhub updates 'base:"SD 1.5"' --any-base
    """
    from modelhub.services.updates import updates

    outcomes: list[PullOutcome] = []
    with opened_catalog(app) as catalog, civitai_client(app) as client, app.progress() as listener:
        report = updates(
            catalog=catalog,
            client=client,
            query=" ".join(query),
            any_base=any_base,
            unavailable=unavailable,
            listener=listener,
            cancel=app.cancel,
        )
        wanted = _newest(report) if pull_ and report.stopped is None else []
        if wanted:
            from modelhub.services.pull import PullOptions, pull

            outcomes = pull(
                [update.reference for update in wanted],
                PullOptions(),
                config=app.config,
                client=client,
                catalog=catalog,
                listener=listener,
                cancel=app.cancel,
            )
    _show(app, report, outcomes, as_json=as_json)
    _leave(app, report, outcomes)


def _newest(report: UpdatesReport) -> list[Update]:
    """The newest version of each model and base model that can be had and is not here."""
    newest: dict[tuple[int, str | None], Update] = {}
    for update in report.updates:
        if not update.unavailable:
            newest.setdefault((update.model_id, update.base_model), update)
    return [update for update in newest.values() if not update.on_disk]


def _show(app: App, report: UpdatesReport, outcomes: list[PullOutcome], *, as_json: bool) -> None:
    if as_json:
        print_json(_document(report, outcomes))
    else:
        print_table(_columns(report.updates), report.updates)
        from modelhub.cli.commands.pull import print_outcomes

        print_outcomes(app, outcomes, as_json=False)
    for gone in report.gone:
        what = gone.model_name + (f", {gone.version_name}" if gone.version_id else "")
        app.warn(f"{what} ({gone.model_id}) is gone from Civitai; what is here stays")
    for unchecked in report.unchecked:
        app.warn(f"{unchecked.model_name} ({unchecked.model_id}): {unchecked.reason}")
    count = plural(len(report.updates), "newer version")
    app.say(f"{count} of {plural(report.checked, 'model')} asked about")
    if report.hidden:
        app.say(f"{report.hidden:,} more cannot be downloaded (yet); --all shows them")
    if report.unmatched:
        words = plural(report.unmatched, "file")
        app.say(f"{words} of no known model were left out; `modelhub match` asks about them")


def _columns(updates: list[Update]) -> list[Column[Update]]:
    columns: list[Column[Update]] = [
        Column("Model", lambda one: one.model_name, flexible=True),
        Column("Here", lambda one: one.instead_of.version_name, flexible=True),
        Column("Newer", lambda one: one.version_name, flexible=True),
        Column("Base", lambda one: one.base_model),
        Column("Published", lambda one: one.published_at, show=_day),
        Column("Size", lambda one: one.size, show=human_size, right=True),
        Column("State", lambda one: one.unavailable or ("on disk" if one.on_disk else "")),
        Column("Reference", lambda one: one.reference),
    ]
    return [column for column in columns if any(column.cell(one) for one in updates)]


def _day(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d}"


def _document(report: UpdatesReport, outcomes: list[PullOutcome]) -> dict[str, Any]:
    import dataclasses

    from modelhub.cli.commands.pull import document

    values = {one.name: getattr(report, one.name) for one in dataclasses.fields(report)}
    stopped = report.stopped
    values["stopped"] = stopped and {"class": type(stopped).__name__, "message": stopped.message}
    values["updates"] = [
        dataclasses.asdict(update) | {"reference": update.reference} for update in report.updates
    ]
    return values | {"pulled": [document(outcome) for outcome in outcomes]}


def _leave(app: App, report: UpdatesReport, outcomes: list[PullOutcome]) -> None:
    from modelhub.cli.commands.pull import exit_code

    code = exit_code(outcomes)
    if report.stopped is not None:
        from modelhub.cli.messages import show_error

        show_error(app, report.stopped)
        code = report.stopped.exit_code
    if code:
        click.get_current_context().exit(code)
