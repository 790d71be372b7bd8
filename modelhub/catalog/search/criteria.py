"""What a field's value says, once understood: facts and words for the full-text index, and ranges
that the tables decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from modelhub.catalog.fulltext.expression import AllOf, FactIs, Words
from modelhub.catalog.fulltext.facts import Fact


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes, or counts of parameters, of `least` to `most`, both included. `column` is a column of
    `listings`, and `kind` the fact of its classes."""

    least: int
    most: int | None
    column: str = "size"
    kind: Fact = Fact.SIZE_CLASS


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times from `start` on and before `end`, both in UTC. `column` is a column of `listings`."""

    column: str
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class InFolder:
    """Paths that hold `text`, folded, from the start of a folder's or file's name on."""

    text: str


@dataclass(frozen=True, slots=True)
class HashStart:
    """Any hash that starts with these digits, upper-case."""

    digits: str


@dataclass(frozen=True, slots=True)
class Outdated:
    """Files of which a newer version is known, or (not `wanted`) all the others."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class NumberIs:
    """The file with this id."""

    number: int


Criterion: TypeAlias = (
    FactIs | Words | AllOf | SizeRange | TimeRange | InFolder | HashStart | Outdated | NumberIs
)
"""`AllOf` stands for facts excluded from all files (``missing:no``)."""


class ValueRefused(Exception):
    """A value that its field does not take.

    :param message: what is wrong with it.
    :param expected: what should stand there.
    """

    def __init__(self, message: str, expected: str) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
