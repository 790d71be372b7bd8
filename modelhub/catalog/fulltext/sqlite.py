"""Full text on SQLite: an FTS5 table over ``search_text``, kept in step here.

Only what is deleted is forgotten by a trigger, since deleting cascades. Were rows learnt by
triggers as well, FTS5 would write a segment for each of them: SQLite marks a point to come back to
before a statement with triggers, and FTS5 writes out what it holds whenever one is marked. Learning
a batch of rows by plain statements takes a third of the time.

How a search is run depends on how many files its words and facts leave (N files in all):

* few (up to :data:`FEW`): all of them are read and sorted, or ranked by bm25;
* many, by relevance: the newest :data:`~modelhub.catalog.fulltext.index.CANDIDATES` of them are
  ranked;
* more, in an order: the index of that order is walked, and each file on the way tested, until
  enough are found. Up to :data:`MANY`, it is looked up in the set of all matches; beyond, by a
  lookup in FTS5, where it can do one. (In a million files, that takes 0.3 ms where matches are
  rare, and next to nothing where they are frequent; the set takes 0.2 ms for each 1,000.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
)

from modelhub.catalog.fulltext.document import COLUMNS, Document
from modelhub.catalog.fulltext.expression import (
    AllOf,
    AnyOf,
    FactIs,
    Match,
    Words,
    looks_up_directly,
)
from modelhub.catalog.fulltext.index import (
    CANDIDATES,
    Search,
    count_of,
    cut,
    in_order,
    listed,
    ranked_then_rest,
)
from modelhub.catalog.listingtables import listings
from modelhub.catalog.sorting import Sort
from modelhub.catalog.texts import json_text

if TYPE_CHECKING:
    from modelhub.catalog.store import Writer

FEW = 10_000
MANY = 150_000
INDEXED_PREFIXES = 3
"""FTS5 keeps lists for starts of 1 to so many characters (``prefix='1 2 3'``)."""

_index = table("search_index", column("rowid", Integer))
_WEIGHTS = (*COLUMNS.values(), 0.0)
_TEXTS = (*COLUMNS, "facts")
_NAMES, _VALUES = ", ".join(_TEXTS), ", ".join("?" * len(_TEXTS))
_KNOWN = f"SELECT id, {_NAMES} FROM search_text WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 (here and below: our own column names)
_ADD = f"INSERT INTO search_text(id, {_NAMES}) VALUES (?, {_VALUES})"  # noqa: S608
_CHANGE = f"UPDATE search_text SET {', '.join(f'{name} = ?' for name in _TEXTS)} WHERE id = ?"  # noqa: S608
_LEARN = f"INSERT INTO search_index(rowid, {_NAMES}) VALUES (?, {_VALUES})"  # noqa: S608
_FORGET = f"INSERT INTO search_index(search_index, rowid, {_NAMES}) VALUES ('delete', ?, {_VALUES})"  # noqa: S608

_TextRow: TypeAlias = tuple[Any, ...]
"""A row of ``search_text``: the id, then the texts."""


def fts5_query(match: Match) -> str:
    """`match` in FTS5's query language. Words and facts hold letters and digits only."""
    match match:
        case Words(words, prefix, only):
            phrase = '"' + " ".join(words) + '"' + ("*" if prefix else "")
            return f"({only} : {phrase})" if only else phrase
        case FactIs(facts, prefix):
            star = "*" if prefix else ""
            return "(" + " OR ".join(f'"{one}"{star}' for one in facts) + ")"
        case AllOf(parts, excluded):
            wanted = "(" + " AND ".join(map(fts5_query, parts)) + ")"
            unwanted = " OR ".join(map(fts5_query, excluded))
            return f"({wanted} NOT ({unwanted}))" if excluded else wanted
        case AnyOf(parts):
            return "(" + " OR ".join(map(fts5_query, parts)) + ")"


def _matches(match: Match) -> ColumnElement[bool]:
    query: BindParameter[str] = bindparam(None, fts5_query(match))
    found: ColumnElement[bool] = literal_column("search_index").op("MATCH", is_comparison=True)(
        query
    )
    return found


class SqliteFullText:
    """See :class:`modelhub.catalog.fulltext.index.FullText`."""

    def write(self, connection: Connection, documents: list[Document]) -> None:
        """Index these files; rows whose words are the same are not touched."""
        known = _known(connection, [document.id for document in documents])
        new: list[_TextRow] = []
        changed: list[_TextRow] = []
        for document in documents:
            row = _row(document)
            if document.id not in known:
                new.append(row)
            elif known[document.id] != row:
                changed.append(row)
        _add(connection, new)
        _run(connection, _FORGET, [known[row[0]] for row in changed])
        _run(connection, _CHANGE, [(*row[1:], row[0]) for row in changed])
        _run(connection, _LEARN, changed)

    def add(self, writer: Writer, texts: Sequence[tuple[int, tuple[str, ...]]]) -> None:
        """Index files that are not indexed yet."""
        _add(writer.connection, [(number, *words) for number, words in texts])

    def holds(self, match: Match) -> ColumnElement[bool]:
        """The SQL condition that the file of a `listings` row matches."""
        if looks_up_directly(match, INDEXED_PREFIXES):
            one = select(_index.c.rowid).where(_matches(match), _index.c.rowid == listings.c.id)
            return one.correlate(listings).exists()
        return _in_set(match)

    def ranked(
        self, connection: Connection, search: Search, limit: int | None, offset: int
    ) -> list[int]:
        """Ids of the found files, best first by bm25; equal ones newest first."""
        if search.match is None:
            raise ValueError("nothing to rank by")
        ids = _index.c.rowid
        newest = list(
            connection.scalars(_narrowed(search).order_by(ids.desc()).limit(CANDIDATES + 1))
        )
        score = func.bm25(literal_column("search_index"), *map(literal, _WEIGHTS))
        best = _narrowed(search).order_by(score, ids.desc())
        if len(newest) <= CANDIDATES:
            return list(connection.scalars(cut(best, limit, offset)))
        oldest = newest[CANDIDATES - 1]
        return ranked_then_rest(
            connection,
            best.where(ids >= oldest),
            _narrowed(search).where(ids < oldest).order_by(ids.desc()),
            limit,
            offset,
        )

    def ordered(
        self, connection: Connection, search: Search, sort: Sort, limit: int | None, offset: int
    ) -> list[int]:
        """Ids of the found files in order."""
        statement = self._candidates(connection, search, everything=limit is None)
        return list(connection.scalars(in_order(statement, sort, limit, offset)))

    def _candidates(
        self, connection: Connection, search: Search, *, everything: bool
    ) -> Select[int]:
        """The ids of a search, found in the way that suits how many there are."""
        narrowed, match = search.narrowed, search.match
        if narrowed is not None and (everything or _at_most(FEW, connection, narrowed)):
            statement = select(listings.c.id).join(_index, _index.c.rowid == listings.c.id)
            statement = statement.where(_matches(narrowed))
        elif match is not None and _at_most(MANY, connection, match):
            statement = select(listings.c.id).where(_in_set(match))
        else:
            return listed(search, self)
        return statement if search.condition is None else statement.where(search.condition)

    def count(self, connection: Connection, search: Search) -> int:
        """How many files are found."""
        if search.narrowed is None:
            return connection.scalar(count_of(listed(search, self))) or 0
        return connection.scalar(count_of(_narrowed(search))) or 0


def _in_set(match: Match) -> ColumnElement[bool]:
    # "+ 0" keeps SQLite from walking the set instead of the index of the wanted order.
    return (listings.c.id + 0).in_(
        select(_index.c.rowid).where(_matches(match)).correlate(listings)
    )


def _at_most(most: int, connection: Connection, match: Match) -> bool:
    """Whether no more files than that match."""
    some = select(_index.c.rowid).where(_matches(match)).limit(most + 1)
    return (connection.scalar(count_of(some)) or 0) <= most


def _narrowed(search: Search) -> Select[int]:
    """The ids of a search, found in the full-text index first."""
    statement: Select[int] = select(_index.c.rowid)
    if search.narrowed is not None:
        statement = statement.where(_matches(search.narrowed))
    if search.condition is not None:
        statement = statement.join(listings, listings.c.id == _index.c.rowid)
        statement = statement.where(search.condition)
    return statement


def _row(document: Document) -> _TextRow:
    return (document.id, *(" ".join(words) for words in (*document.columns(), document.facts)))


def _known(connection: Connection, ids: Sequence[int]) -> dict[int, _TextRow]:
    """The rows that are there."""
    rows = connection.exec_driver_sql(_KNOWN, (json_text(ids),))
    return {row[0]: tuple(row) for row in rows}


def _add(connection: Connection, rows: list[_TextRow]) -> None:
    _run(connection, _ADD, rows)
    _run(connection, _LEARN, rows)


def _run(connection: Connection, statement: str, rows: list[_TextRow]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
