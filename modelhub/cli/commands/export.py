"""`modelhub export`: all that you wrote, as JSON lines."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.errors import DiskError, NameTaken
from modelhub.text import plural


@click.command()
@click.argument("file", default="-", metavar="[FILE|-]")
@pass_app
def command(app: App, file: str) -> None:
    """Write all that you wrote: tags, notes, ratings, trigger words, weights, titles.

    One JSON line for each content, keyed by its hashes, so that `modelhub import` finds it on any
    machine, under whatever name. FILE is never overwritten; `-` is standard output.

    \b
    Examples:
      modelhub export words.jsonl
      modelhub export | gzip > words.jsonl.gz
    """
    from modelhub.services.userwords import export_words

    with opened_catalog(app) as catalog:
        if file == "-":
            out = sys.stdout.buffer
            number = export_words(catalog, out)
            out.flush()
        else:
            from modelhub.whole_files import new_file

            path = Path(file).expanduser()
            try:
                with new_file(path) as raw:
                    out = io.BufferedWriter(raw)
                    number = export_words(catalog, out)
                    out.flush()
                    out.detach()
            except FileExistsError as error:
                raise NameTaken(f"{path} is there already", hint="choose another name") from error
            except OSError as error:
                reason = error.strerror or str(error)
                raise DiskError(f"cannot write {path}: {reason}") from error
    app.say(f"what you wrote on {plural(number, 'file')} exported")
