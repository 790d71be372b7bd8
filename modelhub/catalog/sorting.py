"""The orders that a listing can have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modelhub.errors import UsageError


class SortKey(StrEnum):
    """What to sort by."""

    NAME = "name"
    SIZE = "size"
    ADDED = "added"
    RATING = "rating"
    TYPE = "type"
    BASE = "base"
    PATH = "path"
    RELEVANCE = "relevance"


_GREATEST_FIRST = frozenset({SortKey.SIZE, SortKey.ADDED, SortKey.RATING})


@dataclass(frozen=True, slots=True)
class Sort:
    """An order: largest, newest and best rated come first, texts from A to Z; or `reverse`.

    Files without a value (no rating, no known type) come last in the plain order of that key.
    Equal ones stand in the order in which they were recorded, or the reverse of it when the
    greatest come first.
    """

    key: SortKey
    reverse: bool = False

    @classmethod
    def parse(cls, text: str) -> Sort:
        """The order that ``--sort`` names: ``size``, or ``-size`` for the reverse.

        :raises UsageError: there is no such order.
        """
        name = text.removeprefix("-").strip().lower()
        try:
            sort = cls(SortKey(name), reverse=text.startswith("-"))
        except ValueError:
            raise UsageError(
                f"cannot sort by {name!r}",
                hint="sort by " + ", ".join(SortKey) + "; put - before it for the reverse",
            ) from None
        if sort == cls(SortKey.RELEVANCE, reverse=True):
            raise UsageError("the least relevant files first is no order", hint="")
        return sort

    @property
    def descending(self) -> bool:
        """Whether greater values come first."""
        return (self.key in _GREATEST_FIRST) != self.reverse
