"""Values that lie scattered in their file, brought into the order of their indices.

Torch stores views: a transposed matrix is its storage and two exchanged strides. Such a tensor may
be larger than the memory, and so it is read in boxes: a range of its outermost indices, as wide as
a fixed amount of memory allows. Of a box, runs that lie close together are read at once and what
is between them is thrown away; runs that are far apart are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_HELD = 24 << 20
"""Bytes of a box, as it is read and once more as it is given."""
_GAP = 4 << 10
"""Bytes that are sooner read and thrown away than skipped by another call of the system."""

Fill: TypeAlias = Callable[[int, memoryview], None]
"""Reads the bytes at a position, as many as the buffer is long."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension: how many indices it has, and by how many bytes they are apart."""

    extent: int
    step: int


def axes_of(shape: Sequence[int], stride: Sequence[int], size: int) -> list[Axis]:
    """The dimensions of a view, with those made one that go on where the next one ends.

    :param stride: in elements.
    :param size: of an element in bytes.
    :returns: none for a single element; one with a step of `size` for what lies in one piece.
    """
    axes: list[Axis] = []
    for extent, step in zip(shape, stride, strict=True):
        if extent == 1:
            continue
        if axes and axes[-1].step == step * size * extent:
            axes[-1] = Axis(axes[-1].extent * extent, step * size)
        else:
            axes.append(Axis(extent, step * size))
    return axes


def is_in_one_piece(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the elements lie one behind the other in the order of their indices."""
    if 0 in shape:
        return True
    axes = axes_of(shape, stride, 1)
    return not axes or (len(axes) == 1 and axes[0].step == 1)


def gathered(fill: Fill, position: int, axes: Sequence[Axis], size: int) -> Iterator[memoryview]:
    """The values in the order of their indices, in large pieces; each is valid until the next.

    :param position: of the first element, in bytes.
    :param size: of an element in bytes.
    """
    import numpy as np

    cut, rows = _widest(axes, size)
    inner = list(axes[cut + 1 :])
    split = axes[cut] if axes else Axis(1, 0)
    first = _Box([Axis(min(rows, split.extent), split.step), *inner], size)
    staging = np.empty(first.read_bytes, np.uint8)
    result = np.empty(first.given_bytes, np.uint8)
    for offset in _offsets(axes[:cut]):
        for start in range(0, split.extent, rows):
            count = min(rows, split.extent - start)
            box = first
            if count != first.axes[0].extent:
                box = _Box([Axis(count, split.step), *inner], size)
            box.read(fill, position + offset + start * split.step, staging, result)
            yield result.data[: box.given_bytes]


class _Box:
    """A part of a view that is read at once."""

    def __init__(self, axes: Sequence[Axis], size: int) -> None:
        self.axes = axes
        self._size = size
        self._apart: list[int] = []
        self._span = size
        for number in sorted(range(len(axes)), key=lambda number: axes[number].step):
            axis = axes[number]
            if axis.step == 0 or axis.extent == 1:
                continue
            if self._apart or axis.step - self._span > _GAP:
                self._apart.append(number)
            else:
                self._span += (axis.extent - 1) * axis.step
        # Far runs are read in the order in which they lie in the file.
        self._apart.reverse()

    @property
    def read_bytes(self) -> int:
        """What is read, in bytes."""
        return self._span * prod(self.axes[number].extent for number in self._apart)

    @property
    def given_bytes(self) -> int:
        """What it gives, in bytes."""
        return self._size * prod(axis.extent for axis in self.axes)

    def read(
        self, fill: Fill, position: int, staging: NDArray[np.uint8], result: NDArray[np.uint8]
    ) -> None:
        """Put its values in order at the start of `result`."""
        import numpy as np

        span = self._span
        rows = staging.data
        at = 0
        for offset in _offsets([self.axes[number] for number in self._apart]):
            fill(position + offset, rows[at : at + span])
            at += span
        steps = {number: axis.step for number, axis in enumerate(self.axes)}
        step = span
        for number in reversed(self._apart):
            steps[number] = step
            step *= self.axes[number].extent
        element = np.dtype(f"V{self._size}" if self._size > 8 else f"u{self._size}")
        shape = tuple(axis.extent for axis in self.axes)
        source = np.ndarray(shape, element, staging.data, 0, tuple(steps.values()))
        np.copyto(result[: self.given_bytes].view(element).reshape(shape), source)


def _widest(axes: Sequence[Axis], size: int) -> tuple[int, int]:
    """Which axis is split into boxes, and into how many of its indices at a time."""
    for cut, axis in enumerate(axes):
        inner = axes[cut + 1 :]
        if not _fits([Axis(1, axis.step), *inner], size):
            continue
        low, high = 1, axis.extent
        while low < high:
            middle = (low + high + 1) // 2
            if _fits([Axis(middle, axis.step), *inner], size):
                low = middle
            else:
                high = middle - 1
        return cut, low
    return 0, 1


def _fits(axes: Sequence[Axis], size: int) -> bool:
    box = _Box(axes, size)
    return max(box.read_bytes, box.given_bytes) <= MOST_HELD


def _offsets(axes: Sequence[Axis]) -> Iterator[int]:
    """The position of every index of these dimensions, counted from that of the first."""
    if not axes:
        yield 0
        return
    *outer, last = axes
    for steps in product(*(range(0, one.extent * (one.step or 1), one.step or 1) for one in outer)):
        start = sum(step for step, one in zip(steps, outer, strict=True) if one.step)
        if last.step:
            yield from range(start, start + last.extent * last.step, last.step)
        else:
            yield from (start for _ in range(last.extent))
