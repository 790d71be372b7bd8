"""All files of a query, in the order of their paths: one after the other, or in batches; and what
a listing says of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog import Catalog, FileRow

_PAGE = 10_000
_BATCH = 500


def every_file(catalog: Catalog, query: str = "") -> Iterator[FileRow]:
    """The files that the query finds, folder by folder, without holding them all.

    :raises QuerySyntaxError: the query has a mistake.
    """
    from modelhub.catalog import Sort

    order, offset = Sort.parse("path"), 0
    while rows := catalog.list_files(query, sort=order, limit=_PAGE, offset=offset):
        yield from rows
        offset += len(rows)
        if len(rows) < _PAGE:
            return


def every_batch(catalog: Catalog, query: str = "") -> Iterator[list[FileRow]]:
    """The same files, so many at a time as the catalog is best asked about at once.

    :raises QuerySyntaxError: the query has a mistake.
    """
    files = every_file(catalog, query)
    while batch := list(islice(files, _BATCH)):
        yield batch


def file_name(row: FileRow) -> str:
    """A file's name as it is on disk: the catalog spells names that are not UTF-8 otherwise.

    A diffusers folder has its own name, not that of the weights two levels below it.
    """
    from modelhub.catalog.paths import decode_path

    if row.format == "diffusers":
        around = row.file.parents
        return around[1].name if len(around) > 1 else row.file.name
    return str(decode_path(row.name))


def model_path(row: FileRow) -> Path:
    """Where a model is; of a diffusers folder the folder, and not its first weights."""
    if row.format == "diffusers":
        around = row.file.parents
        return around[1] if len(around) > 1 else row.file
    return row.file


def remarks(row: FileRow) -> list[str]:
    """What is out of the ordinary, in words: a colour or a sign alone would be missed."""
    found = [] if row.state == "hashed" else [str(row.state)]
    if row.unsafe:
        # Without a verdict of ours it is Civitai's scan that says so.
        found.append(row.verdict or "unsafe")
    if row.fault:
        found.append("fault")
    if row.copies > 1:
        found.append(f"{row.copies} copies")
    if row.parts > 1:
        found.append(f"{row.parts} parts")
    return found
