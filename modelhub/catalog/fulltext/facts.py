"""Facts about a file as words of the full-text index: its type, base model, tags, size class ...

An inverted index intersects lists of a hundred thousand files in milliseconds, which joining
tables does not; and facts that are looked up beside the words of a query cost no row to be read.
So each fact is indexed as one word, which begins with a private-use character by its kind and
therefore never equals a word of any text. Facts that answer a question by halves (the size class
of an exact size, the month of a time) only narrow down what the tables then decide.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import IntEnum
from functools import lru_cache

_FIRST_KIND = 0xE000
_ESCAPE = "\ue0ff"
_ODD = re.compile("[^a-z0-9]")
_LONGEST = 2_046
"""Bytes of a word that PostgreSQL indexes; a character of these has three at most."""
LARGEST_SIZE_CLASS = 63
FIRST_YEAR, LAST_YEAR = 1970, 9999


class Fact(IntEnum):
    """The kinds of facts. The numbers are in every index on disk: never reuse one."""

    ANY = 0
    TYPE = 1
    BASE = 2
    ARCHITECTURE = 3
    PRECISION = 4
    FORMAT = 5
    EMA = 6
    VAE = 7
    UNSAFE = 8
    STATE = 9
    COPIES = 10
    USED = 11
    TAG = 12
    NSFW = 13
    RATING = 14
    SIZE_CLASS = 15
    YEAR = 16
    MONTH = 17
    FOLDER = 18
    MODEL = 19
    VERSION = 20
    ADAPTER = 21
    FAMILY = 22
    VARIANT = 23
    PRUNED = 24
    GUESSED = 25
    PARAMETER_CLASS = 26
    FAULT = 27
    PARTS = 28
    VERDICT = 29


@lru_cache(4_096)
def fact(kind: Fact, value: str = "") -> str:
    """The word for a fact; equal only for equal kinds and values (or absurdly long ones)."""
    plain = _ODD.sub(lambda found: f"{_ESCAPE}{ord(found[0]):x}{_ESCAPE}", value)
    word = chr(_FIRST_KIND + kind) + plain
    if len(word) <= _LONGEST // 3:
        return word
    return word.encode()[:_LONGEST].decode(errors="ignore")


EVERY_FILE = fact(Fact.ANY)
"""The word that every file has."""


def yes_or_no(value: bool) -> str:
    """How a fact spells what is known to be so, or known not to be so."""
    return "yes" if value else "no"


def size_class(size: int) -> str:
    """The class of sizes from one power of two to the next."""
    return fact(Fact.SIZE_CLASS, str(min(size.bit_length(), LARGEST_SIZE_CLASS)))


def parameter_class(number: int) -> str:
    """The class of parameter counts from one power of two to the next."""
    return fact(Fact.PARAMETER_CLASS, str(min(number.bit_length(), LARGEST_SIZE_CLASS)))


def size_classes(least: int, most: int | None, kind: Fact = Fact.SIZE_CLASS) -> list[str]:
    """The classes that sizes (or parameter counts) from `least` to `most` can be in."""
    last = LARGEST_SIZE_CLASS if most is None else min(most.bit_length(), LARGEST_SIZE_CLASS)
    first = min(least.bit_length(), LARGEST_SIZE_CLASS)
    return [fact(kind, str(number)) for number in range(first, last + 1)]


def time_facts(at: datetime) -> list[str]:
    """Year and month of a UTC time."""
    return [fact(Fact.YEAR, str(at.year)), fact(Fact.MONTH, f"{at.year}{at.month:02}")]


def months_and_years(first: datetime, last: datetime) -> list[str]:
    """Facts of which every time from `first` to `last` has at least one: whole years as years."""
    found: list[str] = []
    for year in range(first.year, last.year + 1):
        start = first.month if year == first.year else 1
        end = last.month if year == last.year else 12
        if (start, end) == (1, 12):
            found.append(fact(Fact.YEAR, str(year)))
        else:
            found += [fact(Fact.MONTH, f"{year}{month:02}") for month in range(start, end + 1)]
    return found
