"""`modelhub note`: write a note on a file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from modelhub.cli.annotations import hash_before_writing
from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.errors import UsageError
from modelhub.services.listed import file_name


@click.command()
@click.argument("file")
@click.argument("text", required=False)
@click.option("--edit", is_flag=True, help="Write it in $VISUAL or $EDITOR.")
@click.option("--clear", is_flag=True, help="Remove the note.")
@pass_app
def command(app: App, file: str, text: str | None, edit: bool, clear: bool) -> None:
    """Write a note on a file, or show the one that is there.

    FILE is a path, a file name or its start, a hash or its start, or a version's id. TEXT `-` reads
    standard input. The note hangs on the content: it survives a rename, a move and a download anew,
    and nothing that Civitai says ever replaces it.

    \b
    Examples:
      modelhub note sakushimix 'good at 30 steps, CFG 6'
      modelhub note sakushimix
      modelhub note sakushimix --edit
    """
    if sum((text is not None, edit, clear)) > 1:
        raise UsageError("TEXT, --edit and --clear exclude each other")
    with opened_catalog(app) as catalog:
        row = catalog.resolve_file(file)
        current = catalog.show(row.id).note
        if text is None and not edit and not clear:
            if current:
                app.echo(current, lines=True)
            else:
                app.say(f"{file_name(row)} has no note")
            return
        new = "" if clear else _new_text(app, text, current)
        if new != (current or ""):
            hash_before_writing(app, catalog, [row])
            catalog.note([row.id], new or None)
    app.echo(f"{file_name(row)}: {_done(new, current or '')}")


def _done(new: str, current: str) -> str:
    if new == current:
        return "note unchanged" if new else "no note"
    return "note written" if new else "note removed"


def _new_text(app: App, text: str | None, current: str | None) -> str:
    if text == "-":
        return sys.stdin.read().strip()
    if text is not None:
        return text.strip()
    return _edited(app, current or "")


def _edited(app: App, current: str) -> str:
    """The note as the user leaves it in the editor.

    :raises ConfigError: there is no editor, or it fails; the note stays as it was.
    """
    from modelhub.config.edit import open_editor

    with tempfile.TemporaryDirectory(prefix="modelhub-note-") as folder:
        draft = Path(folder, "note.md")
        draft.write_text(current, encoding="utf-8")
        open_editor(draft, app.environ)
        return draft.read_text(encoding="utf-8", errors="replace").strip()
