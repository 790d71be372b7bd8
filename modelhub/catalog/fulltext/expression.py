"""What the full-text index is asked, apart from how FTS5 or PostgreSQL spell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Words:
    """These words in a row; of the last one, only its start when `prefix`.

    `column` limits them to one of :data:`modelhub.catalog.fulltext.document.COLUMNS`.
    """

    words: tuple[str, ...]
    prefix: bool = True
    column: str | None = None


@dataclass(frozen=True, slots=True)
class FactIs:
    """One of these facts; with `prefix`, a fact that starts so."""

    facts: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of `parts`, and none of `excluded`."""

    parts: tuple[Match, ...]
    excluded: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `parts`."""

    parts: tuple[Match, ...]


Match: TypeAlias = Words | FactIs | AllOf | AnyOf


def both(one: Match | None, other: Match | None) -> Match | None:
    """What is in `one` and in `other`, where None is everything."""
    if one is None or other is None:
        return one or other
    return AllOf((*_parts(one), *_parts(other)), _excluded(one) + _excluded(other))


def _parts(match: Match) -> tuple[Match, ...]:
    return match.parts if isinstance(match, AllOf) else (match,)


def _excluded(match: Match) -> tuple[Match, ...]:
    return match.excluded if isinstance(match, AllOf) else ()


def looks_up_directly(match: Match, indexed_prefixes: int) -> bool:
    """Whether a single file can be tested cheaply: no prefix longer than those indexed.

    For a longer prefix FTS5 first gathers all files of all words that start so, each time.
    """
    match match:
        case Words(words, prefix):
            return not prefix or len(words[-1]) <= indexed_prefixes
        case FactIs(_, prefix):
            return not prefix
        case AllOf(parts, excluded):
            return all(looks_up_directly(part, indexed_prefixes) for part in parts + excluded)
        case AnyOf(parts):
            return all(looks_up_directly(part, indexed_prefixes) for part in parts)
