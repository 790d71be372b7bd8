"""The files that the catalog knows, for a scan to compare with the disk.

A million of them pass through here, as plain tuples, page by page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter

from modelhub.catalog.bulk import rows_in
from modelhub.catalog.scanrows import KnownFile, KnownRow
from modelhub.catalog.store import Store

PAGE = 4_000
"""Known files that are read at a time: a reader that stayed open for a whole scan would keep
SQLite's log from being merged all the while."""

_KNOWN_COLUMNS = "SELECT id, path, size, mtime_ns, inode, state, blob_id, part_of FROM local_files"
_KNOWN = f"{_KNOWN_COLUMNS} WHERE root_id = ? AND path > ? ORDER BY path LIMIT ?"
_WAITING = "SELECT count(*) FROM local_files WHERE state IN ('new', 'changed')"


def known_files(store: Store, root_id: int, below: str = "") -> Iterator[KnownFile]:
    """See :meth:`modelhub.catalog.Catalog.known_files`."""
    return map(KnownFile._make, known_rows(store, root_id, below))


def known_rows(store: Store, root_id: int, below: str = "") -> Iterator[KnownRow]:
    """See :meth:`modelhub.catalog.Catalog.known_rows`."""
    return chain.from_iterable(_pages(store, root_id, below))


def _pages(store: Store, root_id: int, below: str) -> Iterator[Sequence[KnownRow]]:
    statement = _KNOWN
    bounds: tuple[object, ...] = ()
    after = ""
    if below:
        after = below.rstrip("/") + "/"
        statement = statement.replace("path > ?", "path > ? AND path < ?")
        bounds = (after[:-1] + "0",)  # "0" follows "/"
    if store.backend == "postgresql":
        statement = statement.replace("?", "%s")
    while True:
        with store.read() as connection:
            cursor = connection.exec_driver_sql(statement, (root_id, after, *bounds, PAGE))
            assert cursor.cursor is not None
            rows = cursor.cursor.fetchall()
            cursor.close()
        yield rows
        if len(rows) < PAGE:
            return
        after = rows[-1][1]


def files_at(store: Store, root_id: int, paths: Sequence[str]) -> list[KnownFile]:
    """See :meth:`modelhub.catalog.Catalog.files_at`."""
    statement = f"{_KNOWN_COLUMNS} WHERE root_id = ? AND path IN (?)"
    with store.read() as connection:
        rows = rows_in(connection, statement, paths, root_id)
    return sorted(map(KnownFile._make, rows), key=itemgetter(1))


def count_waiting(store: Store) -> int:
    """See :meth:`modelhub.catalog.Catalog.count_waiting`."""
    with store.read() as connection:
        return int(connection.exec_driver_sql(_WAITING).scalar_one())
