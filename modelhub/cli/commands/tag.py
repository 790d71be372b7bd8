"""`modelhub tag`: put tags on files."""

from __future__ import annotations

import click

from modelhub.cli.annotations import changed_in_words, file_options, selected_files
from modelhub.cli.context import App, pass_app


@click.command()
@file_options
@click.argument("tags", metavar="TAG[,TAG...]")
@pass_app
def command(app: App, files: tuple[str, ...], by_query: bool, yes: bool, tags: str) -> None:
    """Put tags on files.

    FILE is a path, a file name or its start, a hash or its start, or a version's id. Tags hang on
    the content: they survive a rename, a move and a download anew. Several are separated by commas.

    \b
    Examples:
      modelhub tag sakushimix anime,favourite
      modelhub tag --query 'type:lora creator:someone' style
    """
    with selected_files(app, files, by_query=by_query, yes=yes) as (catalog, rows):
        changed = catalog.tag(
            [row.id for row in rows], [tag for tag in tags.split(",") if tag.strip()]
        )
    app.echo(changed_in_words(changed, rows))
