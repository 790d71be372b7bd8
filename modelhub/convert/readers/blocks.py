"""Quantised tensors of GGUF files, read as the fp32 that their blocks stand for.

What a block of each type holds is the business of ``gguf``, the package that llama.cpp's own
converters are written with (``ggml-org/llama.cpp`` ``gguf-py/gguf/quants.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from modelhub.convert.readers.stored import StoredValues
from modelhub.convert.values import Values
from modelhub.errors import FormatError, MissingExtra
from modelhub.formats.gguf_types import BLOCKS

if TYPE_CHECKING:
    from types import ModuleType

    from modelhub.convert.readers.opened import OpenFile
    from modelhub.formats.tensor_data import StoredTensor

READABLE = frozenset(
    {
        "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
        "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
    }
)  # fmt: skip
"""Types that weights are published in, of those that the package knows."""
_NUMBERS = 1 << 18
"""That are made at a time: a MiB in fp32. A multiple of the elements of every type's block."""


@functools.cache
def blocks_library() -> ModuleType:
    """The module of ``gguf`` that knows what blocks stand for.

    :raises MissingExtra: it is not installed.
    """
    try:
        from gguf import quants
    except ImportError as error:
        raise MissingExtra(
            f"quantised GGUF files are read with gguf, which cannot be imported: {error}",
            hint="run `pip install 'modelhub[render]'`",
        ) from error
    return quants


class Blocks(Values):
    """A quantised tensor of a GGUF file, as fp32.

    :param tensor: of one of the types of :data:`READABLE`, little-endian.
    :raises FormatError: its numbers are not whole blocks.
    """

    dtype = "F32"

    def __init__(self, file: OpenFile, tensor: StoredTensor) -> None:
        self.shape = tensor.shape
        self._file = file
        self._tensor = tensor
        self._elements, self._size = BLOCKS[tensor.dtype]
        if prod(tensor.shape) % self._elements:
            raise FormatError(f"{tensor.name[:200]} is not of whole {tensor.dtype} blocks")

    @property
    def stored(self) -> str:
        """The type of its blocks."""
        return self._tensor.dtype

    def rows(self, start: int, stop: int) -> Values | None:
        """``values[start:stop]``, where these begin and end with a block."""
        each = prod(self.shape[1:])
        first, odd = divmod(start * each, self._elements)
        if odd or (stop - start) * each % self._elements:
            return None
        tensor = replace(
            self._tensor,
            shape=(stop - start, *self.shape[1:]),
            position=self._tensor.position + first * self._size,
        )
        return Blocks(self._file, tensor)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """As :meth:`Values.pieces`; a block that is damaged may give what is no finite number.

        :raises SourceChanged: the file became shorter, or another, since it was opened.
        """
        import numpy as np

        quants = blocks_library()
        kind = quants.GGMLQuantizationType[self._tensor.dtype]
        left, position = prod(self.shape) // self._elements, self._tensor.position
        while left:
            size = min(left, _NUMBERS // self._elements) * self._size
            some = replace(self._tensor, dtype="U8", shape=(size,), position=position)
            for piece in StoredValues(self._file, some).pieces():
                # As one row: rows are worked off in small groups.
                data = np.frombuffer(piece, "u1").reshape(1, -1)
                with np.errstate(all="ignore"):
                    numbers = quants.dequantize(data, kind)
                yield np.ascontiguousarray(numbers, "<f4").reshape(-1).data.cast("B")
            position += size
            left -= size // self._size
