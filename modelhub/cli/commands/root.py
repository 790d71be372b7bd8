"""`modelhub root`: the folders that are indexed and watched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, OutputForm, output_options, print_listing
from modelhub.errors import NotFoundError, UsageError
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, RootRow

_LAYOUTS = ("comfyui", "a1111", "forge", "invokeai", "flat", "template")


@click.group()
def command() -> None:
    """Choose the folders that are indexed and watched."""


@command.command("add")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    metavar="NAME",
    help="How it is arranged: comfyui, a1111, forge, invokeai, flat, template.",
)
@click.option("--no-watch", is_flag=True, help="Leave it out of `modelhub watch`.")
@pass_app
def add(app: App, path: Path, layout: str | None, no_watch: bool) -> None:
    """Make a folder a root.

    A root inside a root is fine: its files are its own then. Given a root, changes its settings.
    """
    from modelhub.services.index import add_root

    with opened_catalog(app) as catalog:
        row = add_root(catalog, path, layout=layout, watched=not no_watch)
    app.echo(str(row.folder))
    app.say("`modelhub index` reads what is in it")


@command.command("list")
@output_options
@pass_app
def list_(app: App, form: OutputForm) -> None:
    """List the roots."""
    with opened_catalog(app) as catalog:
        rows = [(row, catalog.count_files(row.id)) for row in catalog.roots()]
    if not rows and form is OutputForm.TABLE:
        app.say("there is no root yet: `modelhub root add PATH` makes one")
        return
    print_listing(_columns(), rows, form, document=_document)


@command.command("remove")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def remove(app: App, path: Path, yes: bool) -> None:
    """Take a root and its files out of the catalog.

    Nothing on disk is touched. Tags, notes and ratings of hashed files hang on their content and
    are kept: they are back when the folder is, or the same files are anywhere.
    """
    with opened_catalog(app) as catalog:
        row = _root_at(catalog, path)
        number = catalog.count_files(row.id)
        files = plural(number, "file")
        if not yes and number and not app.confirm(f"Take {row.folder} and its {files} out?"):
            raise UsageError("nothing was removed", hint="confirm with --yes")
        catalog.remove_root(row.id, forget=True)
    app.echo(f"{row.folder} is no root any more; {files} left the catalog, none left the disk")


def _root_at(catalog: Catalog, path: Path) -> RootRow:
    row = catalog.root(path.expanduser()) or catalog.root(path.expanduser().resolve())
    if row is None:
        known = ", ".join(str(one.folder) for one in catalog.roots()[:5])
        raise NotFoundError(
            f"{path} is no root", hint=f"the roots are: {known}" if known else "there is no root"
        )
    return row


def _columns() -> list[Column[tuple[RootRow, int]]]:
    return [
        Column("Path", lambda row: row[0].folder, flexible=True, middle=True),
        Column("Layout", lambda row: row[0].layout),
        Column("Files", lambda row: row[1], show=lambda number: f"{number:,}", right=True),
        Column("Watched", lambda row: row[0].watched, show=_yes),
        Column("Scanned", lambda row: row[0].scanned_at, show=_local),
        Column("State", lambda row: "" if row[0].folder.is_dir() else "not there"),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _local(when: Any) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


def _document(row: tuple[RootRow, int]) -> dict[str, Any]:
    root, files = row
    return {
        "path": str(root.folder),
        "layout": root.layout,
        "watched": root.watched,
        "files": files,
        "added_at": root.added_at,
        "scanned_at": root.scanned_at,
        "present": root.folder.is_dir(),
    }
