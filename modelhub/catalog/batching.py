"""Many values in parts that a statement takes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

BATCH = 500

_Item = TypeVar("_Item", int, str)


def batches(ids: Iterable[_Item], most: int = BATCH) -> Iterator[list[_Item]]:
    """`ids` in order, so many at a time as a statement takes."""
    ordered = sorted(ids)
    for at in range(0, len(ordered), most):
        yield ordered[at : at + most]
