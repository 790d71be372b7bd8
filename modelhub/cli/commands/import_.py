"""`modelhub import`: what `modelhub export` wrote, merged into the catalog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import json_option, print_json
from modelhub.errors import FileUnreadable
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.services.userwords import ImportReport


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.option("--replace", is_flag=True, help="Let the file's words replace what you wrote here.")
@click.option("--dry-run", is_flag=True, help="Check it, and only say what would change.")
@json_option
@pass_app
def command(app: App, file: str, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Merge what `modelhub export` wrote.

    Tags and trigger words are added; a note, a rating, a title and the like are taken where there
    is none here. Words for files that are not here wait for them. A file with a malformed line is
    not imported at all; the lines are named.

    \b
    Examples:
      modelhub import words.jsonl --dry-run
      zcat words.jsonl.gz | modelhub import -
    """
    from modelhub.services.userwords import import_words

    with opened_catalog(app) as catalog:
        if file == "-":
            source = sys.stdin.buffer
            report = import_words(catalog, source, replace=replace, dry_run=dry_run)
        else:
            path = Path(file).expanduser()
            try:
                with path.open("rb") as stream:
                    report = import_words(catalog, stream, replace=replace, dry_run=dry_run)
            except OSError as error:
                reason = error.strerror or str(error)
                raise FileUnreadable(f"cannot read {path}: {reason}") from error
    if as_json:
        print_json(report)
    else:
        app.echo(_summary(report))


def _summary(report: ImportReport) -> str:
    verb = "would change" if report.dry_run else "changed"
    words = f"{plural(report.lines, 'file')} read, {report.changed:,} {verb}"
    if report.waiting:
        words += f", {report.waiting:,} of them not here: their words wait"
    return words
