"""`modelhub rate`: rate files from 1 to 5."""

from __future__ import annotations

import click

from modelhub.cli.annotations import changed_in_words, file_options, selected_files
from modelhub.cli.context import App, pass_app

_NONE = "none"


@click.command()
@file_options
@click.argument("rating", type=click.Choice(["1", "2", "3", "4", "5", _NONE]))
@pass_app
def command(app: App, files: tuple[str, ...], by_query: bool, yes: bool, rating: str) -> None:
    """Rate files from 1 to 5, or take the rating off with `none`.

    FILE is a path, a file name or its start, a hash or its start, or a version's id. The rating
    hangs on the content: it survives a rename, a move and a download anew.

    \b
    Examples:
      modelhub rate sakushimix 5
      modelhub rate --query 'tag:old' none
    """
    with selected_files(app, files, by_query=by_query, yes=yes) as (catalog, rows):
        changed = catalog.rate([row.id for row in rows], None if rating == _NONE else int(rating))
    app.echo(changed_in_words(changed, rows))
