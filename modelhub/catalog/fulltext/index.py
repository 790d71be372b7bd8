"""What a full-text index does for the catalog, whichever database keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import ColumnElement, Connection, Select, func, select

from modelhub.catalog.listingtables import listings
from modelhub.catalog.sorting import Sort, SortKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelhub.catalog.fulltext.document import Document
    from modelhub.catalog.fulltext.expression import Match
    from modelhub.catalog.store import Writer

CANDIDATES = 2_000
"""Where a query matches more files than this, the newest so many are ranked, and the
rest follow by age: scoring 300,000 files takes longer than anybody waits."""

_SORT_COLUMNS = {
    SortKey.NAME: listings.c.name_key,
    SortKey.SIZE: listings.c.size,
    SortKey.ADDED: listings.c.added_at,
    SortKey.RATING: listings.c.rating,
    SortKey.TYPE: listings.c.type_key,
    SortKey.BASE: listings.c.base_key,
    SortKey.PATH: listings.c.path_key,
}


@dataclass(frozen=True, slots=True)
class Search:
    """What to find: the files of `match` (None: all) for which `condition` holds as well.

    Every file for which `condition` holds is one of `narrowing`: looking there first spares asking
    the condition of all the others, and asking for both is asking twice.
    """

    match: Match | None
    condition: ColumnElement[bool] | None = None
    narrowing: Match | None = None

    @property
    def narrowed(self) -> Match | None:
        """What to look up in the index to find candidates; None where that is all files."""
        from modelhub.catalog.fulltext.expression import both

        return both(self.match, self.narrowing)


class FullText(Protocol):
    """The full-text index of one kind of database."""

    def write(self, connection: Connection, documents: list[Document]) -> None:
        """Index these files, anew where they are indexed already."""
        ...

    def add(self, writer: Writer, texts: Sequence[tuple[int, tuple[str, ...]]]) -> None:
        """Index files that are not indexed yet: their words and facts in the order of
        :data:`modelhub.catalog.scanning.TEXTS`."""
        ...

    def holds(self, match: Match) -> ColumnElement[bool]:
        """The SQL condition that the file of a `listings` row matches."""
        ...

    def ranked(
        self, connection: Connection, search: Search, limit: int | None, offset: int
    ) -> list[int]:
        """Ids of the found files, the most relevant first; equal ones newest first."""
        ...

    def ordered(
        self, connection: Connection, search: Search, sort: Sort, limit: int | None, offset: int
    ) -> list[int]:
        """Ids of the found files in order."""
        ...

    def count(self, connection: Connection, search: Search) -> int:
        """How many files are found."""
        ...


def in_order(statement: Select[int], sort: Sort, limit: int | None, offset: int) -> Select[int]:
    """`statement`, which selects from `listings`, in order and cut."""
    column = _SORT_COLUMNS[sort.key]
    if sort.descending:
        statement = statement.order_by(column.desc(), listings.c.id.desc())
    else:
        statement = statement.order_by(column, listings.c.id)
    return cut(statement, limit, offset)


def cut(statement: Select[int], limit: int | None, offset: int) -> Select[int]:
    """`statement` without its first `offset` rows, and at most `limit` of them."""
    if limit is not None:
        statement = statement.limit(limit)
    return statement.offset(offset) if offset else statement


def ranked_then_rest(
    connection: Connection,
    ranked: Select[int],
    rest: Select[int],
    limit: int | None,
    offset: int,
) -> list[int]:
    """The rows of `ranked`, which are :data:`CANDIDATES`, and after them those of `rest`."""
    end = None if limit is None else offset + limit
    ids = list(connection.scalars(ranked))[offset:end] if offset < CANDIDATES else []
    if end is None or end > CANDIDATES:
        missing = None if limit is None else limit - len(ids)
        ids += connection.scalars(cut(rest, missing, max(0, offset - CANDIDATES)))
    return ids


def listed(search: Search, full_text: FullText) -> Select[int]:
    """The ids of a search, found by testing each listing."""
    statement = select(listings.c.id)
    if search.match is not None:
        statement = statement.where(full_text.holds(search.match))
    if search.condition is not None:
        statement = statement.where(search.condition)
    return statement


def count_of(statement: Select[int]) -> Select[int]:
    """How many rows `statement` has."""
    return select(func.count()).select_from(statement.subquery())


def fulltext_of(backend: str) -> FullText:
    """The full-text index of ``sqlite`` or ``postgresql``."""
    if backend == "postgresql":
        from modelhub.catalog.fulltext.postgres import PostgresFullText

        return PostgresFullText()
    from modelhub.catalog.fulltext.sqlite import SqliteFullText

    return SqliteFullText()
