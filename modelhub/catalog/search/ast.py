"""The tree of a query. Columns, counted from 1, are for messages: they do not count as equality."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Operator(StrEnum):
    """What stands between a field and its values."""

    IS = ":"
    EQUAL = "="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word: matches words that start so."""

    text: str
    negated: bool = False
    column: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A quoted phrase: these words in a row, whole."""

    text: str
    negated: bool = False
    column: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """One of the values of a field, as typed without its quotes."""

    text: str
    quoted: bool = dataclasses.field(default=False, compare=False)
    column: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """A field with its values, any of which may hold."""

    field: str
    operator: Operator
    values: tuple[Value, ...]
    negated: bool = False
    column: int = dataclasses.field(default=1, compare=False)


Term: TypeAlias = Word | Phrase | FieldTerm


@dataclass(frozen=True, slots=True)
class Query:
    """Terms, all of which must hold. None at all finds everything."""

    terms: tuple[Term, ...] = ()
    text: str = dataclasses.field(default="", compare=False)
    """As typed, for messages."""

    @property
    def has_words(self) -> bool:
        """Whether there is text to rank by."""
        return any(isinstance(term, Word | Phrase) and not term.negated for term in self.terms)
