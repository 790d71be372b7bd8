"""`modelhub search`: search Civitai."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from modelhub.civitai.filters import PERIODS, SORTS
from modelhub.cli.context import App
from modelhub.cli.library import civitai_client, opened_catalog
from modelhub.cli.output import Column, OutputForm, output_options, print_listing
from modelhub.errors import UsageError
from modelhub.text import human_count, human_size

if TYPE_CHECKING:
    from modelhub.services.search import FoundModel

_PAGE = 100


@click.command()
@click.argument("query", nargs=-1)
@click.option("--type", "types", multiple=True, help="Checkpoint, LORA, VAE ...; may be repeated.")
@click.option("--base", "bases", multiple=True, help="'SD 1.5', 'SDXL 1.0' ...; may be repeated.")
@click.option("--tag", help="Models with this tag.")
@click.option("--creator", help="Models of this creator.")
@click.option("--sort", type=click.Choice(list(SORTS)), help="The order.")
@click.option("--period", type=click.Choice(list(PERIODS)), help="Counted over this time.")
@click.option("--nsfw/--no-nsfw", default=None, help="With or without adult models.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many models at most.",
)
@click.option("--pull", "pulling", is_flag=True, help="Ask which of them to pull.")
@output_options
@click.pass_context
def command(context: click.Context, /, query: tuple[str, ...], **options: Any) -> None:
    """Search Civitai.

    Without words it lists by the filters and the order alone. Models of which a file is in the
    library are marked.

    \b
    Examples:
      modelhub search ink scenery --type LORA --base 'SD 1.5'
      modelhub search --creator someone --sort newest
      modelhub search anime --type Checkpoint --pull
    """
    from modelhub.services.search import search

    app = context.ensure_object(App)
    form: OutputForm = options["form"]
    if options["pulling"] and not sys.stdin.isatty():
        raise UsageError(
            "--pull needs a terminal to ask on", hint="`modelhub pull ID` asks nothing"
        )
    if options["pulling"] and form is not OutputForm.TABLE:
        raise UsageError("--pull asks questions, and does not go with --json or --format")
    with opened_catalog(app) as catalog, civitai_client(app) as client:
        found = search(client, catalog, _filters(query, options), limit=options["limit"])
    if not found and form is OutputForm.TABLE:
        app.say("nothing found")
        return
    print_listing(_columns(numbered=options["pulling"], found=found), found, form)
    if options["pulling"]:
        chosen = _ask(app, found)
        if chosen:
            from modelhub.cli.commands.pull import command as pull_command

            context.invoke(pull_command, references=tuple(chosen), **_pull_defaults(pull_command))


def _filters(query: tuple[str, ...], options: dict[str, Any]) -> Any:
    from modelhub.civitai.filters import ModelFilters

    return ModelFilters(
        query=" ".join(query) or None,
        types=options["types"],
        base_models=options["bases"],
        tag=options["tag"],
        username=options["creator"],
        sort=SORTS.get(options["sort"] or ""),
        period=PERIODS.get(options["period"] or ""),
        nsfw=options["nsfw"],
        limit=min(options["limit"], _PAGE),
    )


def _columns(*, numbered: bool, found: list[FoundModel]) -> list[Column[FoundModel]]:
    columns: list[Column[FoundModel]] = [
        Column("Id", lambda model: model.model_id, right=True),
        Column("Name", lambda model: model.name, flexible=True),
        Column("Type", lambda model: model.type),
        Column("Base", lambda model: ", ".join(model.base_models), flexible=True),
        Column("Creator", lambda model: model.creator, flexible=True),
        Column("Size", lambda model: model.size, show=human_size, right=True),
        Column("Downloads", lambda model: model.downloads, show=human_count, right=True),
        Column("Here", lambda model: "here" if model.here else ""),
    ]
    if numbered:
        numbers = {model.model_id: number for number, model in enumerate(found, start=1)}
        columns.insert(0, Column("#", lambda model: numbers[model.model_id], right=True))
    return columns


def _ask(app: App, found: list[FoundModel]) -> list[str]:
    """The ids of the models whose numbers the user types, each once.

    :raises UsageError: what was typed are no numbers of the list.
    """
    with app.interrupts.prompting():
        typed: str = click.prompt(
            "Which to pull? Numbers, or nothing for none", default="", show_default=False, err=True
        )
    numbers = [word for word in re.split(r"[\s,]+", typed) if word]
    for word in numbers:
        if not word.isdecimal() or not 1 <= int(word) <= len(found):
            raise UsageError(f"{word!r} is not a number from 1 to {len(found)}")
    return list(dict.fromkeys(str(found[int(word) - 1].model_id) for word in numbers))


def _pull_defaults(pull_command: click.Command) -> dict[str, Any]:
    """`pull` without options: `invoke` would leave those out that click makes on its own."""
    return {
        parameter.name: False if getattr(parameter, "is_flag", False) else None
        for parameter in pull_command.params
        if parameter.name and parameter.name != "references" and parameter.expose_value
    }
