"""Full text on PostgreSQL: one ``tsvector`` a file with a GIN index.

The vector is written as its literal, with the words of :mod:`modelhub.catalog.fulltext.words`, so
that both databases find the same: PostgreSQL's own parser would split and stem otherwise. A word
that a query may look for in one column only is there a second time, behind a private-use character
by column. The four weights of a vector stand for how much a column counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from modelhub.catalog.fulltext.document import COLUMNS, Document
from modelhub.catalog.fulltext.expression import AllOf, AnyOf, FactIs, Match, Words
from modelhub.catalog.fulltext.index import (
    CANDIDATES,
    Search,
    count_of,
    cut,
    in_order,
    listed,
    ranked_then_rest,
)
from modelhub.catalog.listingtables import listings, search_vectors
from modelhub.catalog.sorting import Sort

if TYPE_CHECKING:
    from modelhub.catalog.store import Writer

_FIRST_COLUMN = 0xE100
_WEIGHT = {
    "name": "B",
    "model": "A",
    "version": "C",
    "creator": "B",
    "tags": "B",
    "triggers": "C",
    "notes": "D",
}
_LAST_POSITION = 16_383
_ROOM = 1_000_000
"""Bytes: a vector has 1,048,575 at most. Words beyond are not found; none but a hostile page has
so many."""
_COLUMNS = list(COLUMNS)


def _in_column(name: str) -> str:
    return chr(_FIRST_COLUMN + _COLUMNS.index(name))


def tsvector_literal(document: Document) -> str:
    """The words and facts of a file as PostgreSQL reads a ``tsvector``."""
    parts = [f"'{one}'" for one in document.facts]
    room = _ROOM - sum(len(part.encode()) for part in parts)
    position = 0
    for name, words in zip(COLUMNS, document.columns(), strict=True):
        mark = _in_column(name)
        for word in words:
            room -= 2 * len(word.encode()) + 20
            if room < 0:
                return " ".join(parts)
            position = min(position + 1, _LAST_POSITION)
            at = f":{position}{_WEIGHT[name]}"
            parts += (f"'{word}'{at}", f"'{mark}{word}'{at}")
        position += 1  # a gap, so that no phrase reaches from one column into the next
    return " ".join(parts)


def tsquery_literal(match: Match) -> str:
    """`match` as PostgreSQL reads a ``tsquery``. Words and facts hold letters and digits only."""
    match match:
        case Words(words, prefix, only):
            mark = _in_column(only) if only else ""
            phrase = " <-> ".join(f"'{mark}{word}'" for word in words)
            return f"({phrase}{':*' if prefix else ''})"
        case FactIs(facts, prefix):
            star = ":*" if prefix else ""
            return "(" + " | ".join(f"'{one}'{star}" for one in facts) + ")"
        case AllOf(parts, excluded):
            terms = [tsquery_literal(part) for part in parts]
            terms += [f"!{tsquery_literal(part)}" for part in excluded]
            return "(" + " & ".join(terms) + ")"
        case AnyOf(parts):
            return "(" + " | ".join(map(tsquery_literal, parts)) + ")"


def _tsquery(match: Match) -> ColumnElement[str]:
    from sqlalchemy.dialects.postgresql import TSQUERY

    return cast(bindparam(None, tsquery_literal(match), type_=Text), TSQUERY)


def _matches(match: Match) -> ColumnElement[bool]:
    found: ColumnElement[bool] = search_vectors.c.document.op("@@", is_comparison=True)(
        _tsquery(match)
    )
    return found


class PostgresFullText:
    """See :class:`modelhub.catalog.fulltext.index.FullText`."""

    def write(self, connection: Connection, documents: list[Document]) -> None:
        """Index these files; rows whose words are the same are not touched."""
        if not documents:
            return
        statement = insert(search_vectors)
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[search_vectors.c.id],
                set_={"document": new.document},
                where=search_vectors.c.document != new.document,
            ),
            [{"id": one.id, "document": tsvector_literal(one)} for one in documents],
        )

    def add(self, writer: Writer, texts: Sequence[tuple[int, tuple[str, ...]]]) -> None:
        """Index files that are not indexed yet."""
        from modelhub.catalog.bulk import insert_rows
        from modelhub.catalog.scanning import document_from

        documents = [document_from(number, words) for number, words in texts]
        insert_rows(
            writer,
            search_vectors,
            ("id", "document"),
            [(one.id, tsvector_literal(one)) for one in documents],
        )

    def holds(self, match: Match) -> ColumnElement[bool]:
        """The SQL condition that the file of a `listings` row matches."""
        one = select(search_vectors.c.id).where(
            _matches(match), search_vectors.c.id == listings.c.id
        )
        return one.correlate(listings).exists()

    def ranked(
        self, connection: Connection, search: Search, limit: int | None, offset: int
    ) -> list[int]:
        """Ids of the found files, best first by ``ts_rank``; equal ones newest first."""
        if search.match is None:
            raise ValueError("nothing to rank by")
        ids = search_vectors.c.id
        newest = list(
            connection.scalars(_narrowed(search).order_by(ids.desc()).limit(CANDIDATES + 1))
        )
        score = func.ts_rank(search_vectors.c.document, _tsquery(search.match))
        best = _narrowed(search).order_by(score.desc(), ids.desc())
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
        statement = listed(Search(search.narrowed, search.condition), self)
        return list(connection.scalars(in_order(statement, sort, limit, offset)))

    def count(self, connection: Connection, search: Search) -> int:
        """How many files are found."""
        return connection.scalar(count_of(_narrowed(search))) or 0


def _narrowed(search: Search) -> Select[int]:
    statement = select(search_vectors.c.id)
    if search.narrowed is not None:
        statement = statement.where(_matches(search.narrowed))
    if search.condition is not None:
        statement = statement.join(listings, listings.c.id == search_vectors.c.id)
        statement = statement.where(search.condition)
    return statement
