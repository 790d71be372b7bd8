"""`modelhub list`: what is in the library."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, OutputForm, output_options, print_listing
from modelhub.services.listed import file_name, remarks
from modelhub.text import human_duration, human_size, plural

if TYPE_CHECKING:
    from modelhub.catalog import FileRow

_DEFAULT_LIMIT = 50


@click.command()
@click.argument("query", nargs=-1)
@click.option(
    "--sort",
    metavar="KEY",
    help="name, size, added, rating, type, base, path or relevance; -KEY for the reverse.",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=_DEFAULT_LIMIT,
    show_default=True,
    help="How many files at most; 0 for all.",
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many at the start.")
@click.option("--count", is_flag=True, help="Only say how many files there are.")
@output_options
@pass_app
def command(
    app: App,
    query: tuple[str, ...],
    sort: str | None,
    limit: int,
    offset: int,
    count: bool,
    form: OutputForm,
) -> None:
    """List what is in the library.

    QUERY is written in the search language: bare words search names, creators, tags, trigger
    words, notes and file names, best match first; fields narrow it down. Options come before a
    query that begins with a minus, or put `--` before it.

    \b
    Fields:
      type: base: arch: family: variant: adapter: fp: format: ema: vae: pruned:
      tag: rating note: trigger: name: model: version: creator: path: hash:
      unsafe: verdict: nsfw: missing: dup: state: fault: guessed: used: added size
      params, as in size>2GB params>1B added<30d rating>=4
    \b
    Examples:
      modelhub list
      modelhub list type:lora base:sdxl --sort -added
      modelhub list 'anime size>2GB -tag:old'
      modelhub list --json --limit 0
    """
    from modelhub.catalog import Sort

    text = " ".join(query)
    order = Sort.parse(sort) if sort else None
    with opened_catalog(app) as catalog:
        if count:
            app.echo(str(catalog.count(text)))
            return
        rows = catalog.list_files(text, sort=order, limit=limit or None, offset=offset)
        cut = form is OutputForm.TABLE and limit and len(rows) == limit
        total = catalog.count(text) if cut and not app.quiet else None
    if not rows and form is OutputForm.TABLE:
        app.say(_nothing(text, offset))
        return
    columns = _filled(_columns(), rows) if form is OutputForm.TABLE else _all_columns()
    print_listing(columns, rows, form, document=row_document)
    if total is not None and total > offset + len(rows):
        app.say(f"{len(rows):,} of {plural(total, 'file')}; --limit 0 lists all")


def _nothing(text: str, offset: int) -> str:
    if offset:
        return f"nothing after the first {plural(offset, 'file')}"
    return "nothing found" if text else "the catalog is empty: `modelhub pull` fills it"


def _filled(columns: list[Column[FileRow]], rows: list[FileRow]) -> list[Column[FileRow]]:
    """The columns with something in them: an empty one would take its width from the names."""
    return [column for column in columns if any(column.cell(row) for row in rows)]


def row_document(row: FileRow) -> dict[str, Any]:
    """The JSON form of one file: every field, its path whole."""
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(row, enc_hook=str)
    return document | {"file": str(row.file)}


def _columns() -> list[Column[FileRow]]:
    return [
        Column("Name", file_name, flexible=True, middle=True),
        Column("Type", lambda row: row.type),
        Column("Base", lambda row: row.base),
        Column("FP", lambda row: row.precision),
        Column("Size", lambda row: row.size, show=human_size, right=True),
        Column("Rating", lambda row: row.rating, show=_stars),
        Column("Added", lambda row: row.added_at, show=_ago, right=True),
        Column("State", lambda row: ", ".join(remarks(row))),
        Column("Tags", lambda row: ", ".join(row.tags), flexible=True),
    ]


def _all_columns() -> list[Column[FileRow]]:
    """With those for which a terminal has no room."""
    return [
        *_columns(),
        Column("Format", lambda row: row.format),
        Column("Architecture", lambda row: row.architecture),
        Column("Edition", lambda row: row.edition),
        Column("Variants", lambda row: ", ".join(row.variants)),
        Column("Family", lambda row: row.family),
        Column("Adapter", lambda row: row.adapter),
        Column("Parameters", lambda row: row.parameters),
        Column("EMA", lambda row: row.ema),
        Column("VAE", lambda row: row.vae),
        Column("Pruned", lambda row: row.pruned),
        Column("Guessed", lambda row: row.guessed),
        Column("Parts", lambda row: row.parts),
        Column("Fault", lambda row: row.fault),
        Column("Verdict", lambda row: row.verdict),
        Column("File", lambda row: str(row.file)),
    ]


def _stars(rating: int) -> str:
    return f"{rating}/5"


def _ago(when: datetime) -> str:
    """The greatest unit of the time since then, in the width of a column: `5 m`, `3 d`."""
    spans = human_duration((datetime.now(UTC) - when).total_seconds()).split(" ")
    return " ".join(spans[:2])
