"""`modelhub trash`: what was thrown away in the terminal UI, brought back or deleted for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, OutputForm, output_options, print_listing
from modelhub.errors import UsageError
from modelhub.text import human_size, plural

if TYPE_CHECKING:
    from modelhub.services.trash import Batch


@click.group()
def command() -> None:
    """List what is in the trash, bring it back, or delete it.

    Models that are deleted in `modelhub tui` wait in a hidden folder of their root.
    """


@command.command("list")
@output_options
@pass_app
def list_(app: App, form: OutputForm) -> None:
    """List what is in the trash, the latest first."""
    from modelhub.services.trash import batches_of

    with opened_catalog(app) as catalog:
        batches = batches_of(catalog)
    if not batches and form is OutputForm.TABLE:
        app.say("the trash is empty")
        return
    print_listing(_columns(), batches, form, document=_document)


@command.command("restore")
@click.argument("name", required=False)
@pass_app
def restore(app: App, name: str | None) -> None:
    """Move files back to where they were: those thrown away last, or those of NAME.

    Nothing that has taken their place is replaced.
    """
    from modelhub.services.trash import restore as bring_back
    from modelhub.services.trash.restoring import LAST

    with opened_catalog(app) as catalog:
        report = bring_back(catalog, name or LAST)
    for path in report.restored:
        app.echo(str(path))
    for error in report.failed[1:]:
        app.warn(error.message)
    if report.failed:
        raise report.failed[0]


@command.command("empty")
@click.argument("names", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def empty(app: App, names: tuple[str, ...], yes: bool) -> None:
    """Delete for good what is in the trash: all of it, or only NAMES."""
    from modelhub.services.trash import batches_of
    from modelhub.services.trash import empty as delete

    with opened_catalog(app) as catalog:
        found = [one for one in batches_of(catalog) if not names or one.name in names]
        chosen = list(names) or [one.name for one in found]
        number = plural(sum(len(one.files) for one in found), "file")
        if chosen and not yes and not app.confirm(f"Delete {number} for good?"):
            raise UsageError("nothing was deleted", hint="confirm with --yes")
        freed = delete(catalog, chosen)
    app.echo(f"{number} deleted, {human_size(freed)} freed")


def _columns() -> list[Column[Batch]]:
    return [
        Column("Name", lambda batch: batch.name),
        Column("When", lambda batch: batch.at, show=lambda at: f"{at.astimezone():%Y-%m-%d %H:%M}"),
        Column("Files", lambda batch: len(batch.files), right=True),
        Column("Size", lambda batch: batch.size, show=human_size, right=True),
        Column("First", lambda batch: batch.files[0].name if batch.files else "", flexible=True),
    ]


def _document(batch: Batch) -> dict[str, Any]:
    return {
        "name": batch.name,
        "at": batch.at,
        "size": batch.size,
        "files": [str(path) for path in batch.files],
    }
