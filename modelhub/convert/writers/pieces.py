"""The values of planned tensors, piece by piece, as they are to be in the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any

from modelhub.convert.casts import cast, decode, encode, lost_to_fp16
from modelhub.convert.values import Place, Planned, Values
from modelhub.errors import FileUnreadable, SourceChanged
from modelhub.formats.tensor_data import ITEM_SIZES, PIECE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelhub.convert.casts import Data

_MOST_MEMORY = 256 << 20
"""Bytes that values may take together while they are made; a tensor that takes more is alone."""


class _Turns:
    """Lets threads go on as long as there is memory for what they make."""

    def __init__(self, memory: int) -> None:
        self._most = memory
        self._taken = 0
        self._changed = Condition()

    @contextlib.contextmanager
    def taken(self, memory: int) -> Iterator[None]:
        """Waits until there is so much of it, and has it for the block."""
        wanted = min(memory, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= self._most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


_TURNS = _Turns(_MOST_MEMORY)


def turn_of(values: Values) -> contextlib.AbstractContextManager[None]:
    """To be held while the pieces of `values` are asked for."""
    if values.place is not None:
        return contextlib.nullcontext()
    return _TURNS.taken(values.memory)


def source_pieces(values: Values) -> Iterator[Data]:
    """The values as the source has them; each piece is valid until the next is asked for.

    :raises FormatError, FileUnreadable: as :meth:`modelhub.convert.values.Values.pieces`.
    """
    place = values.place
    if place is None:
        yield from (memoryview(piece).cast("B") for piece in values.pieces() if len(piece))
        return
    left, position = values.nbytes, place.position
    block = memoryview(bytearray(min(left, PIECE)))
    while left:
        piece = block[: min(left, PIECE)]
        read_fully(place.descriptor, piece, position)
        yield piece
        left -= len(piece)
        position += len(piece)


def cast_pieces(planned: Planned) -> Iterator[Data]:
    """The bytes of a tensor as the result has them; each is valid until the next is asked for."""
    source = planned.values.dtype
    for piece in source_pieces(planned.values):
        yield piece if source == planned.dtype else as_bytes(cast(piece, source, planned.dtype))


def checked_pieces(planned: Planned) -> Iterator[tuple[Data, tuple[float, int, int]]]:
    """The same, each with what :func:`modelhub.convert.casts.lost_to_fp16` says of it."""
    for piece in source_pieces(planned.values):
        numbers = decode(piece, planned.values.dtype)
        yield as_bytes(encode(numbers, planned.dtype)), lost_to_fp16(numbers)


def cast_range(planned: Planned, place: Place, start: int, stop: int) -> Data:
    """Bytes `start` to `stop` of the result, of a tensor that lies in its source in one piece."""
    import numpy as np

    source = planned.values.dtype
    wide, narrow = ITEM_SIZES[source], ITEM_SIZES[planned.dtype]
    piece = np.empty((stop - start) // narrow * wide, "u1").data
    read_fully(place.descriptor, piece, place.position + start // narrow * wide)
    return piece if source == planned.dtype else as_bytes(cast(piece, source, planned.dtype))


def as_bytes(numbers: NDArray[Any]) -> memoryview:
    """The memory of an array as bytes, without copying where it lies in one piece."""
    return numbers.reshape(-1).view("u1").data


def read_fully(descriptor: int, block: memoryview, position: int) -> None:
    """Fill `block` from a file of the source.

    :raises FileUnreadable: the file cannot be read.
    :raises SourceChanged: it ends before.
    """
    while len(block):
        try:
            count = os.preadv(descriptor, [block], position)
        except OSError as error:
            raise FileUnreadable(
                f"cannot read {opened_as(descriptor)}: {error.strerror or error}"
            ) from error
        if not count:
            raise SourceChanged(f"{opened_as(descriptor)} became shorter: it ends at {position:,}")
        block = block[count:]
        position += count


def opened_as(descriptor: int) -> str:
    """The path by which a file was opened, where the system tells it."""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return "the source"
