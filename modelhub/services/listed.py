"""All files of a query, in the order of their paths: one after the other, or in batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
