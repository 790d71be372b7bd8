"""What a result is made of: named tensors, each with where its values come from.

Nothing here holds a file's data: values are read, or computed, in pieces when they are written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from modelhub.formats.tensor_data import ITEM_SIZES


@dataclass(frozen=True, slots=True)
class Place:
    """Where values lie in a file in one piece, little-endian and in the order of their indices.

    :param descriptor: of the file, open to read for as long as its source is.
    :param position: of the first byte.
    """

    descriptor: int
    position: int


class Values(ABC):
    """The numbers of one tensor.

    :attr dtype: as safetensors names it (``F32``, ``BF16``, ``F8_E4M3``, ``I64``).
    :attr shape: in the order of torch: the outermost dimension first.
    """

    dtype: str
    shape: tuple[int, ...]

    @abstractmethod
    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, little-endian, in the order of their indices, in pieces of whole elements.

        A piece is only valid until the next one is asked for. May be called several times, and
        gives the same bytes each time.

        :raises FormatError: the file is damaged.
        :raises FileUnreadable: it cannot be read, or is shorter than it was.
        """

    @property
    def place(self) -> Place | None:
        """Where they could be copied from as they are, or None where they have to be made."""
        return None

    @property
    def stored(self) -> str:
        """The type that they have in their file, where that is another: ``Q4_K``."""
        return self.dtype

    def rows(self, start: int, stop: int) -> Values | None:
        """``values[start:stop]``, if they can be had without all that comes before them."""
        return None

    @property
    def is_costly(self) -> bool:
        """Whether they are calculated: too dear to be made a second time for a comparison alone."""
        return False

    @property
    def memory(self) -> int:
        """How many bytes making them takes at once, at the most."""
        return self.nbytes

    @property
    def nbytes(self) -> int:
        """How many bytes :meth:`pieces` gives in all."""
        return prod(self.shape) * ITEM_SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class Planned:
    """One tensor of a result.

    :param dtype: which it is written in; where it is another than that of `values`, they are cast.
    """

    name: str
    values: Values
    dtype: str

    @property
    def nbytes(self) -> int:
        """Its size in the result, in bytes."""
        return prod(self.values.shape) * ITEM_SIZES[self.dtype]
