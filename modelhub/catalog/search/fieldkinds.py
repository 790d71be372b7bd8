"""The kinds of fields of the search language, each one class: what their values mean.

A field reads a value into a :mod:`criterion <modelhub.catalog.search.criteria>`; it asks no
database.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from modelhub.catalog.fulltext.expression import AllOf, FactIs, Words
from modelhub.catalog.fulltext.facts import EVERY_FILE, Fact, fact
from modelhub.catalog.fulltext.words import folded, words_of
from modelhub.catalog.search import vocabulary
from modelhub.catalog.search.ast import Operator, Value
from modelhub.catalog.search.criteria import (
    Criterion,
    HashStart,
    InFolder,
    NumberIs,
    Outdated,
    SizeRange,
    TimeRange,
    ValueRefused,
)
from modelhub.catalog.search.quantities import (
    TIME_EXPECTED,
    Size,
    Span,
    read_time,
)
from modelhub.catalog.tagnames import normalised_tag
from modelhub.catalog.texts import LARGEST
from modelhub.errors import UsageError

_EQUALS = (Operator.IS, Operator.EQUAL)
_ALL = tuple(Operator)


class Field(ABC):
    """One field: its name, and what its values mean."""

    operators: ClassVar[tuple[Operator, ...]] = _EQUALS

    def __init__(self, name: str, expected: str) -> None:
        self.name = name
        self.expected = expected

    @abstractmethod
    def read(self, operator: Operator, value: Value, now: datetime) -> Criterion:
        """What `value` asks for.

        :param now: aware; dates are of its time zone.
        :raises ValueRefused: the field does not take it.
        """

    def values(self) -> Iterable[str]:
        """Values to propose."""
        return ()


class NamedFact(Field):
    """A value of a list that grows: types, base models, formats."""

    def __init__(self, name: str, kind: Fact, table: str) -> None:
        super().__init__(name, "one of " + ", ".join(vocabulary.names(table)))
        self._kind = kind
        self._table = table

    def read(self, operator: Operator, value: Value, now: datetime) -> FactIs:
        """The fact, by its first name."""
        kept = vocabulary.kept(self._table, value.text)
        if not kept:
            raise ValueRefused(f"{value.text!r} is no {self.name}", self.expected)
        return FactIs((fact(self._kind, kept),))

    def is_listed(self, value: Value) -> bool:
        """Whether the value is in our list; others may be new on Civitai."""
        return vocabulary.canonical(self._table, value.text) is not None

    def near(self, value: Value) -> str | None:
        """What was probably meant."""
        way = nearest(vocabulary.plain(value.text), vocabulary.ways(self._table))
        return vocabulary.canonical(self._table, way) if way else None

    def values(self) -> Iterable[str]:
        """The first names of the list."""
        return vocabulary.names(self._table)


class Choice(Field):
    """A value of a fixed list, each standing for a fact, or for all files without a fact."""

    def __init__(self, name: str, choices: dict[str, FactIs | AllOf]) -> None:
        super().__init__(name, " or ".join(choices))
        self._choices = choices

    def read(self, operator: Operator, value: Value, now: datetime) -> FactIs | AllOf:
        """The chosen one."""
        choice = self._choices.get(value.text.strip().lower())
        if choice is None:
            raise ValueRefused(f"{value.text!r} is not an answer to {self.name}", self.expected)
        return choice

    def values(self) -> Iterable[str]:
        """All choices."""
        return self._choices


class Text(Field):
    """Words of one column of the full-text index."""

    def __init__(self, name: str, column: str, number: Fact | None = None) -> None:
        super().__init__(name, f"words of the {name}" + (", or its id" if number else ""))
        self._column = column
        self._number = number

    def read(self, operator: Operator, value: Value, now: datetime) -> Words | FactIs:
        """The words in a row, the last by its start; a number is an id where there are ids."""
        text = value.text.strip()
        if self._number is not None and text.isascii() and text.isdigit():
            return FactIs((fact(self._number, str(int(text))),))
        words = words_of(text)
        if not words:
            raise ValueRefused(f"{value.text!r} holds no words", self.expected)
        return Words(tuple(words), prefix=True, column=self._column)


class Tag(Field):
    """One of the user's tags, or of the tags of the model on Civitai."""

    def read(self, operator: Operator, value: Value, now: datetime) -> FactIs:
        """The tag, whole."""
        try:
            return FactIs((fact(Fact.TAG, normalised_tag(value.text)),))
        except UsageError as error:
            raise ValueRefused(error.message, self.expected) from None


class Folder(Field):
    """A part of a path, from the start of a folder's name on."""

    def read(self, operator: Operator, value: Value, now: datetime) -> InFolder:
        """The part, folded."""
        return InFolder(folded(value.text.strip()))


class Update(Field):
    """Whether the catalog knows a newer version."""

    def read(self, operator: Operator, value: Value, now: datetime) -> Outdated:
        """Yes or no."""
        answer = value.text.strip().lower()
        if answer not in self.values():
            raise ValueRefused(f"{value.text!r} is not an answer to {self.name}", self.expected)
        return Outdated(answer == "yes")

    def values(self) -> tuple[str, ...]:
        """Both answers."""
        return ("yes", "no")


class Number(Field):
    """The id of a file, as listings tell it with `--json`."""

    _DIGITS = re.compile("#?([0-9]{1,18})")

    def read(self, operator: Operator, value: Value, now: datetime) -> NumberIs:
        """The number."""
        found = self._DIGITS.fullmatch(value.text.strip())
        if not found:
            raise ValueRefused(f"{value.text!r} is no id", self.expected)
        return NumberIs(int(found[1]))


class Hash(Field):
    """Any of a file's hashes, or its first digits."""

    _DIGITS = re.compile("[0-9A-F]{4,64}")

    def read(self, operator: Operator, value: Value, now: datetime) -> HashStart:
        """The digits, upper-case."""
        digits = value.text.strip().upper()
        if not self._DIGITS.fullmatch(digits):
            raise ValueRefused(f"{value.text!r} is no hash", self.expected)
        return HashStart(digits)


class SizeField(Field):
    """The size of a file, or the number of its parameters: compared, or a range."""

    operators = _ALL

    def __init__(
        self, name: str, expected: str, column: str, kind: Fact, read: Callable[[str], Size]
    ) -> None:
        super().__init__(name, expected)
        self._column = column
        self._kind = kind
        self._number = read

    def read(self, operator: Operator, value: Value, now: datetime) -> SizeRange:
        """The range. An equal size is one that rounds to what was typed."""
        least, most = self._bounds(operator, value.text)
        return SizeRange(least, most, self._column, self._kind)

    def _bounds(self, operator: Operator, text: str) -> tuple[int, int | None]:
        start, dots, end = text.partition("..")
        if dots and operator in _EQUALS and (start or end):
            least = self._number(start).value if start else 0
            return least, self._number(end).value if end else None
        size, slack = self._number(text)
        match operator:
            case Operator.LESS:
                return 0, size - 1
            case Operator.AT_MOST:
                return 0, size
            case Operator.GREATER:
                return min(size + 1, LARGEST), None
            case Operator.AT_LEAST:
                return size, None
            case _:
                return max(0, size - slack), min(size + slack, LARGEST)


class TimeField(Field):
    """A time: by date, or by how long ago, where ``<30d`` is less than 30 days ago."""

    operators = _ALL

    def __init__(
        self, name: str, column: str, words: dict[str, FactIs | AllOf] | None = None
    ) -> None:
        super().__init__(name, " or ".join([*(words or {}), TIME_EXPECTED]))
        self._column = column
        self._words = words or {}

    def read(self, operator: Operator, value: Value, now: datetime) -> Criterion:
        """The stretch of time."""
        word = self._words.get(value.text.lower())
        if word and operator in _EQUALS:
            return word
        try:
            return self._stretch(operator, value.text, now)
        except ValueRefused as refused:
            raise ValueRefused(refused.message, self.expected) from None

    def _stretch(self, operator: Operator, text: str, now: datetime) -> TimeRange:
        first, dots, last = text.partition("..")
        if dots and operator in _EQUALS and (first or last):
            return self._between(first, last, now)
        span = read_time(text, now)
        if span.is_age:
            return self._by_age(operator, span)
        match operator:
            case Operator.LESS:
                return TimeRange(self._column, None, span.start)
            case Operator.AT_MOST:
                return TimeRange(self._column, None, span.end)
            case Operator.GREATER:
                return TimeRange(self._column, span.end, None)
            case Operator.AT_LEAST:
                return TimeRange(self._column, span.start, None)
            case _:
                return TimeRange(self._column, span.start, span.end)

    def _by_age(self, operator: Operator, span: Span) -> TimeRange:
        if operator in (Operator.GREATER, Operator.AT_LEAST):
            return TimeRange(self._column, None, span.start)
        return TimeRange(self._column, span.start, None)

    def _between(self, first: str, last: str, now: datetime) -> TimeRange:
        bounds = [read_time(text, now) for text in (first, last) if text]
        if all(bound.is_age for bound in bounds) and first and last:
            bounds.sort(key=lambda bound: bound.start)
            return TimeRange(self._column, bounds[0].start, bounds[1].start)
        return TimeRange(
            self._column, bounds[0].start if first else None, bounds[-1].end if last else None
        )

    def values(self) -> Iterable[str]:
        """Ages that are often asked for."""
        return (*self._words, "today", "7d", "30d", "1y")


class Rating(Field):
    """The user's rating, 1 to 5, or none."""

    operators = _ALL
    _RANGE = re.compile(r"([1-5])(?:\.\.([1-5]))?")

    def read(self, operator: Operator, value: Value, now: datetime) -> FactIs | AllOf:
        """Every rating that fits, each a fact. Files without a rating are in no range."""
        text = value.text.strip().lower()
        if text in ("none", "0") and operator in _EQUALS:
            return all_but(_RATED)
        found = self._RANGE.fullmatch(text)
        if not found or (found[2] and operator not in _EQUALS):
            raise ValueRefused(f"{value.text!r} is no rating", self.expected)
        least, most = int(found[1]), int(found[2] or found[1])
        match operator:
            case Operator.LESS:
                least, most = 1, least - 1
            case Operator.AT_MOST:
                least = 1
            case Operator.GREATER:
                least, most = least + 1, 5
            case Operator.AT_LEAST:
                most = 5
            case _:
                pass
        if least > most:
            raise ValueRefused("there is no such rating", self.expected)
        return FactIs(tuple(fact(Fact.RATING, str(n)) for n in range(least, most + 1)))

    def values(self) -> Iterable[str]:
        """All ratings."""
        return ("none", "1", "2", "3", "4", "5")


_EVERY = FactIs((EVERY_FILE,))
_RATED = FactIs(tuple(fact(Fact.RATING, str(stars)) for stars in range(1, 6)))


def all_but(*excluded: FactIs) -> AllOf:
    """All files without any of these facts."""
    return AllOf((_EVERY,), excluded)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` is probably a slip of."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)
