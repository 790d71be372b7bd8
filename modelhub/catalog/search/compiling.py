"""A tree to a database query.

Each term becomes a :class:`Clause`: a match in the full-text index, or a condition on the tables,
or both. With both, the condition alone decides, and the match narrows down what it is asked of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, literal, not_, or_, select, union

from modelhub.catalog.fulltext.expression import AllOf, AnyOf, FactIs, Match, Words
from modelhub.catalog.fulltext.facts import (
    EVERY_FILE,
    Fact,
    fact,
    months_and_years,
    size_classes,
)
from modelhub.catalog.fulltext.index import FullText, Search
from modelhub.catalog.fulltext.words import folded, words_of
from modelhub.catalog.listingtables import listings
from modelhub.catalog.search.ast import FieldTerm, Phrase, Query, Term, Value, Word
from modelhub.catalog.search.criteria import (
    Criterion,
    HashStart,
    InFolder,
    NumberIs,
    Outdated,
    SizeRange,
    TimeRange,
)
from modelhub.catalog.search.fieldkinds import NamedFact
from modelhub.catalog.search.fields import FIELDS
from modelhub.catalog.tables import blobs, local_files, remote_files
from modelhub.errors import QuerySyntaxError

MOST_MONTHS = 48
"""A stretch of time with more months and years than this is not narrowed down by them."""
_FAR_AHEAD = timedelta(days=20 * 365)


@dataclass(frozen=True, slots=True)
class Context:
    """What compiling needs to know.

    `is_known` says whether any file of the catalog has a fact: values that are in no list of ours
    may still be new ones of Civitai's. `roots` are the numbers and paths of all roots.
    """

    full_text: FullText
    now: datetime
    is_known: Callable[[FactIs], bool]
    roots: Callable[[], Iterable[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Clause:
    """See the module."""

    match: Match | None = None
    condition: ColumnElement[bool] | None = None


def compiled(query: Query, context: Context) -> Search:
    """What to ask the database.

    :raises QuerySyntaxError: a value is neither in our lists nor in the catalog.
    """
    wanted: list[Match] = []
    unwanted: list[Match] = []
    narrowing: list[Match] = []
    conditions: list[ColumnElement[bool]] = []
    for term in query.terms:
        clause = _clause(term, query, context)
        if clause.condition is not None:
            conditions.append(not_(clause.condition) if term.negated else clause.condition)
            if clause.match is not None and not term.negated:
                narrowing.append(clause.match)
        elif clause.match is not None:
            parts, excluded = _flat(clause.match)
            if term.negated:
                unwanted.append(clause.match)
            else:
                wanted += parts
                unwanted += excluded
    condition = and_(*conditions) if conditions else None
    return Search(_all(wanted, unwanted), condition, _all(narrowing, []))


def _flat(match: Match) -> tuple[tuple[Match, ...], tuple[Match, ...]]:
    """The parts of "every file but ...", without the "every file" where others can stand for it."""
    if isinstance(match, AllOf) and match.parts == (FactIs((EVERY_FILE,)),):
        return (), match.excluded
    return (match,), ()


def _all(wanted: list[Match], unwanted: list[Match]) -> Match | None:
    if not wanted and not unwanted:
        return None
    parts = tuple(wanted) or (FactIs((EVERY_FILE,)),)
    return AllOf(parts, tuple(unwanted)) if len(parts) > 1 or unwanted else parts[0]


def _clause(term: Term, query: Query, context: Context) -> Clause:
    match term:
        case Word(text):
            return Clause(Words(tuple(words_of(text))))
        case Phrase(text):
            return Clause(Words(tuple(words_of(text)), prefix=False))
        case FieldTerm():
            clauses = [_value(term, value, query, context) for value in term.values]
            return _any(clauses, context)


def _any(clauses: list[Clause], context: Context) -> Clause:
    if len(clauses) == 1:
        return clauses[0]
    matches = tuple(clause.match for clause in clauses if clause.match is not None)
    match = AnyOf(matches) if len(matches) == len(clauses) else None
    if all(clause.condition is None for clause in clauses):
        return Clause(match)
    conditions = [
        context.full_text.holds(clause.match)
        if clause.condition is None and clause.match is not None
        else clause.condition
        for clause in clauses
    ]
    return Clause(match, or_(*(one for one in conditions if one is not None)))


def _value(term: FieldTerm, value: Value, query: Query, context: Context) -> Clause:
    field = FIELDS[term.field]
    criterion = field.read(term.operator, value, context.now)
    if (
        isinstance(field, NamedFact)
        and not field.is_listed(value)
        and isinstance(criterion, FactIs)
        and not context.is_known(criterion)
    ):
        near = field.near(value)
        raise QuerySyntaxError(
            f"no file has the {field.name} {value.text!r}",
            query=query.text,
            column=value.column,
            expected=f"`{near}`" if near else field.expected,
        )
    return _criterion(criterion, context)


def _criterion(criterion: Criterion, context: Context) -> Clause:
    match criterion:
        case SizeRange():
            return _sizes(criterion)
        case TimeRange():
            return _times(criterion)
        case InFolder(text):
            return _path(text, context)
        case HashStart(digits):
            return Clause(condition=_hash(digits))
        case NumberIs(number):
            return Clause(condition=listings.c.id == number)
        case Outdated(wanted):
            return Clause(condition=_outdated() if wanted else not_(_outdated()))
        case _:
            return Clause(criterion)


def _sizes(sizes: SizeRange) -> Clause:
    column = listings.c[sizes.column]
    condition = and_(column.is_not(None), column >= sizes.least)
    if sizes.most is None:
        return Clause(FactIs(tuple(size_classes(sizes.least, None, sizes.kind))), condition)
    if sizes.most < sizes.least:
        return Clause(condition=literal(False))
    within = and_(condition, column <= sizes.most)
    return Clause(FactIs(tuple(size_classes(sizes.least, sizes.most, sizes.kind))), within)


def _times(times: TimeRange) -> Clause:
    column = listings.c[times.column]
    conditions: list[ColumnElement[bool]] = [column.is_not(None)]
    if times.start is not None:
        conditions.append(column >= times.start)
    if times.end is not None:
        conditions.append(column < times.end)
    match: Match | None = None
    if times.column == "added_at" and times.start is not None:
        # Without an end, files that a wrong clock dated years ahead are found as well.
        facts = months_and_years(times.start, times.end or times.start + _FAR_AHEAD)
        match = FactIs(tuple(facts)) if len(facts) <= MOST_MONTHS else None
    if times.column == "used_at":
        match = FactIs((fact(Fact.USED, "yes"),))
    return Clause(match, and_(*conditions))


def _outdated() -> ColumnElement[bool]:
    """Not true, rather than unknown, of files of which no version is known."""
    from modelhub.catalog.newer import is_outdated

    return and_(listings.c.version_id.is_not(None), is_outdated())


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _path(text: str, context: Context) -> Clause:
    """From the start of a name on, or from the root of the file system."""
    if text.startswith("/"):
        return _absolute(text, context)
    condition = or_(
        listings.c.path_key.like(_like(text) + "%", escape="\\"),
        listings.c.path_key.like("%/" + _like(text) + "%", escape="\\"),
    )
    return Clause(_names_of(text), condition)


def _absolute(text: str, context: Context) -> Clause:
    inside: list[tuple[ColumnElement[bool], str]] = []
    for number, path in context.roots():
        root = folded(path).rstrip("/") + "/"
        if root.startswith(text):
            inside.append((listings.c.root_id == number, ""))
        elif text.startswith(root):
            rest = text.removeprefix(root)
            below = listings.c.path_key.like(_like(rest) + "%", escape="\\")
            inside.append((and_(listings.c.root_id == number, below), rest))
    matches = [_names_of(rest) for _, rest in inside]
    known = tuple(match for match in matches if match is not None)
    narrowing = AnyOf(known) if known and len(known) == len(matches) else None
    return Clause(narrowing, or_(literal(False), *(condition for condition, _ in inside)))


def _names_of(text: str) -> Match | None:
    """What a path that holds `text` has in the full-text index: its folders whole, and of the last
    name, which may be a folder's or the file's, the start."""
    *folders, last = text.split("/")
    facts: list[Match] = [FactIs((fact(Fact.FOLDER, name),)) for name in folders if name]
    words = tuple(words_of(last))
    if words:
        start = FactIs((fact(Fact.FOLDER, last),), prefix=True)
        facts.append(AnyOf((start, Words(words, column="name"))))
    return AllOf(tuple(facts)) if facts else None


def _hash(digits: str) -> ColumnElement[bool]:
    """Files whose content has such a hash, or was published with it."""
    files = select(local_files.c.id).where(local_files.c.blob_id.in_(blobs_with_hash(digits)))
    return listings.c.id.in_(files)


def blobs_with_hash(digits: str) -> Select[int]:
    """The ids of blobs of which a hash starts with `digits` (upper-case hex)."""
    after = digits + "~"
    ours = [blobs.c.sha256, blobs.c.blake3, blobs.c.crc32, blobs.c.autov1, blobs.c.autov3]
    found = [select(blobs.c.id).where(column >= digits, column < after) for column in ours]
    theirs = [remote_files.c.sha256, remote_files.c.blake3]
    found += [
        select(remote_files.c.blob_id).where(
            column >= digits, column < after, remote_files.c.blob_id.is_not(None)
        )
        for column in theirs
    ]
    return select(union(*found).subquery().c.id)
