"""Values that are those of other tensors: some of their rows, several together, in another shape.

What lies in one piece in a file still does in a view, wherever that is possible, so that it is
copied from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from modelhub.convert.values import Place, Values
from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.tensor_data import (
    ITEM_SIZES,
    PIECE,
    StoredTensor,
    read_values,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_IN_MEMORY = 512 << 20
"""Bytes of a matrix that is transposed; OpenCLIP's largest has 6 MiB."""


class Rows(Values):
    """Some of the rows of a tensor: ``values[start:stop]``.

    :param values: of one dimension or more.
    :raises ValueError: there are no such rows.
    """

    def __init__(self, values: Values, start: int, stop: int) -> None:
        if not values.shape or not 0 <= start <= stop <= values.shape[0]:
            raise ValueError(f"no rows {start} to {stop} of {values.shape}")
        self._values = values
        self.dtype = values.dtype
        self.shape = (stop - start, *values.shape[1:])
        self._skipped = start * prod(values.shape[1:]) * ITEM_SIZES[values.dtype]
        self._alone = values.rows(start, stop)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them; read from their place, or cut out of what comes before and after."""
        place = self.place
        if place is not None:
            yield from _read(place, self)
            return
        if self._alone is not None:
            yield from self._alone.pieces()
            return
        position, end = 0, self._skipped + self.nbytes
        if not self.nbytes:
            return
        for piece in self._values.pieces():
            data = memoryview(piece).cast("B")
            cut = data[max(0, self._skipped - position) : end - position]
            position += len(data)
            if len(cut):
                yield cut
            if position >= end:
                return

    @property
    def stored(self) -> str:
        """That of the whole tensor."""
        return self._values.stored

    @property
    def place(self) -> Place | None:
        """Within that of the whole tensor."""
        whole = self._values.place
        if whole is None:
            return None
        return Place(whole.descriptor, whole.position + self._skipped)


def _read(place: Place, values: Values) -> Iterator[bytes | memoryview]:
    stored = StoredTensor("", values.dtype, values.shape, place.position)
    try:
        yield from read_values(place.descriptor, stored)
    except OSError as error:
        raise FileUnreadable(f"cannot read a tensor: {error.strerror or error}") from error


class Concatenated(Values):
    """Tensors below each other: their rows in one.

    :param parts: at least one, all of the same type and the same shape but for the rows.
    :raises ValueError: they do not fit.
    """

    def __init__(self, parts: Sequence[Values]) -> None:
        first = parts[0]
        for one in parts:
            if not one.shape or one.shape[1:] != first.shape[1:] or one.dtype != first.dtype:
                raise ValueError(f"{one.dtype} {one.shape} below {first.dtype} {first.shape}")
        self._parts = tuple(parts)
        self.dtype = first.dtype
        self.shape = (sum(one.shape[0] for one in parts), *first.shape[1:])

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Those of each part in turn."""
        for one in self._parts:
            yield from one.pieces()

    @property
    def stored(self) -> str:
        """That of the first part."""
        return self._parts[0].stored

    @property
    def place(self) -> Place | None:
        """That of the first part, where the others follow it without a gap."""
        first = self._parts[0].place
        if first is None:
            return None
        position = first.position
        for one in self._parts:
            if one.place != Place(first.descriptor, position):
                return None
            position += one.nbytes
        return first


class Reshaped(Values):
    """The same numbers in another shape.

    :raises ValueError: the shape holds more or fewer.
    """

    def __init__(self, values: Values, shape: tuple[int, ...]) -> None:
        if prod(shape) != prod(values.shape):
            raise ValueError(f"{values.shape} as {shape}")
        self._values = values
        self.dtype = values.dtype
        self.shape = shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Those of the values themselves."""
        return self._values.pieces()

    @property
    def stored(self) -> str:
        """That of the values themselves."""
        return self._values.stored

    @property
    def place(self) -> Place | None:
        """That of the values themselves."""
        return self._values.place


class Transposed(Values):
    """A matrix, its rows as columns. The whole of it is in memory while it is read.

    :raises ValueError: it has more or fewer than two dimensions.
    :raises FormatError: it is too large for that.
    """

    def __init__(self, values: Values) -> None:
        if len(values.shape) != 2:
            raise ValueError(f"{values.shape} cannot be transposed")
        if values.nbytes > MOST_IN_MEMORY:
            raise FormatError(f"a matrix of {values.shape} is too large to transpose", hint="")
        self._values = values
        self.dtype = values.dtype
        self.shape = values.shape[::-1]

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, some rows at a time."""
        if not self.nbytes:
            return
        columns = self._whole()
        width = self.shape[1] * columns.itemsize
        step = max(1, PIECE // width)
        for start in range(0, self.shape[0], step):
            yield columns[:, start : start + step].T.tobytes()

    @property
    def stored(self) -> str:
        """That of the values themselves."""
        return self._values.stored

    def _whole(self) -> NDArray[np.void]:
        import numpy as np

        data = bytearray(self._values.nbytes)
        position = 0
        for piece in self._values.pieces():
            one = memoryview(piece).cast("B")
            data[position : position + len(one)] = one
            position += len(one)
        if position != self._values.nbytes:
            raise FormatError("the file ends within a tensor")
        items = np.frombuffer(data, dtype=f"V{ITEM_SIZES[self.dtype]}")
        return items.reshape(self._values.shape)


class Counted(Values):
    """The whole numbers 0, 1, 2, ... as 64-bit integers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.dtype = "I64"
        self.shape = shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, in pieces."""
        import numpy as np

        count, step = prod(self.shape), PIECE // ITEM_SIZES["I64"]
        for start in range(0, count, step):
            yield np.arange(start, min(start + step, count), dtype="<i8").tobytes()
