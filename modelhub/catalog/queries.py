"""Asking the catalog: listing, counting, facets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from modelhub.catalog.filerows import rows_with_ids
from modelhub.catalog.fulltext.expression import FactIs
from modelhub.catalog.fulltext.index import Search, listed
from modelhub.catalog.listingtables import listings
from modelhub.catalog.rows import FileRow, FileState
from modelhub.catalog.sorting import Sort, SortKey
from modelhub.catalog.store import Store
from modelhub.catalog.tables import local_files, roots
from modelhub.catalog.texts import SORT_KEY_OF_NOTHING, stored_text
from modelhub.catalog.types import taken
from modelhub.config.mounts import to_host
from modelhub.errors import UsageError

_FACETS = {
    "type": listings.c.type_key,
    "base": listings.c.base,
    "rating": listings.c.rating,
    "format": listings.c.format,
    "fp": listings.c.precision,
}


def list_files(
    store: Store, query: str, *, sort: Sort | None, limit: int | None, offset: int, now: datetime
) -> list[FileRow]:
    """See :meth:`modelhub.catalog.Catalog.list_files`."""
    with store.read() as connection:
        ids = _find(store, connection, query, sort=sort, limit=limit, offset=offset, now=now)
        return rows_with_ids(connection, ids)


def select_ids(store: Store, query: str, *, now: datetime) -> tuple[int, ...]:
    """The ids of all files that the query finds."""
    with store.read() as connection:
        found = listed(_search(store, connection, query, now)[0], store.full_text)
        return tuple(connection.scalars(found.order_by(listings.c.id)))


def rows(store: Store, ids: Sequence[int]) -> list[FileRow]:
    """See :meth:`modelhub.catalog.Catalog.rows`."""
    with store.read() as connection:
        return rows_with_ids(connection, ids)


def totals(store: Store) -> tuple[int, int]:
    """See :meth:`modelhub.catalog.Catalog.totals`."""
    gone = select(local_files.c.id).where(local_files.c.state == FileState.MISSING.value)
    with store.read() as connection:
        statement = select(func.count(), func.sum(listings.c.size))
        number, size = connection.execute(statement.where(listings.c.id.not_in(gone))).one()
        return number, int(size or 0)


def count(store: Store, query: str, *, now: datetime) -> int:
    """See :meth:`modelhub.catalog.Catalog.count`."""
    with store.read() as connection:
        search, _ = _search(store, connection, query, now)
        return store.full_text.count(connection, search)


def facets(
    store: Store, key: str, query: str, *, limit: int, now: datetime
) -> list[tuple[str, int]]:
    """See :meth:`modelhub.catalog.Catalog.facets`."""
    column = _FACETS.get(key)
    if column is None:
        raise UsageError(f"files cannot be counted by {key}")
    with store.read() as connection:
        search, _ = _search(store, connection, query, now)
        number = func.count()
        statement = (
            select(column, number)
            .where(listings.c.id.in_(listed(search, store.full_text)))
            .where(column.is_not(None))
            .group_by(column)
            .order_by(number.desc(), column)
            .limit(taken(limit))
        )
        if key == "type":
            statement = statement.where(column != SORT_KEY_OF_NOTHING)
        if key == "rating":
            statement = statement.where(column > 0)
        return [(str(value), total) for value, total in connection.execute(statement)]


def _find(
    store: Store,
    connection: Connection,
    query: str,
    *,
    sort: Sort | None,
    limit: int | None,
    offset: int,
    now: datetime,
) -> list[int]:
    limit = None if limit is None else taken(limit)
    offset = taken(offset)
    search, has_words = _search(store, connection, query, now)
    by_relevance = sort is None or sort.key is SortKey.RELEVANCE
    if by_relevance and has_words:
        return store.full_text.ranked(connection, search, limit, offset)
    order = Sort(SortKey.NAME) if by_relevance or sort is None else sort
    return store.full_text.ordered(connection, search, order, limit, offset)


def _search(store: Store, connection: Connection, query: str, now: datetime) -> tuple[Search, bool]:
    """What a query asks for, and whether it has words to rank by."""
    if not query.strip():
        return Search(None), False
    from modelhub.catalog.search.compiling import Context, compiled
    from modelhub.catalog.search.parser import parse

    def is_known(fact: FactIs) -> bool:
        return store.full_text.count(connection, Search(fact)) > 0

    def all_roots() -> list[tuple[int, str]]:
        return [
            (row.id, to_host(row.path))
            for row in connection.execute(select(roots.c.id, roots.c.path))
        ]

    tree = parse(stored_text(query))
    context = Context(store.full_text, now.astimezone(), is_known, all_roots)
    return compiled(tree, context), tree.has_words
