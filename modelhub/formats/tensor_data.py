"""The values of a file's tensors, piece by piece: what no header tells.

Safetensors, GGUF and the files of torch are read alike: by position, a MiB at a time, and never
mapped into memory: a file that gets shorter while it is mapped ends the process. Torch stores
views: what does not lie in one piece is put in order (:mod:`modelhub.formats.scattered`), what is
big-endian, conjugated or negated is mended on the way, and what stands in a pickle itself is taken
from there.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.scattered import Fill, axes_of, gathered, is_in_one_piece
from modelhub.formats.tensors import FileFormat

if TYPE_CHECKING:
    from modelhub.formats.pickles import Source
    from modelhub.formats.tensors import Header
    from modelhub.formats.torchfile import TorchFile, TorchTensor
    from modelhub.formats.torchfile.strings import Content

PIECE = 1 << 20
"""Bytes that are read at a time; a multiple of every element's size."""
_TIMES_READ = 4
"""A file whose tensors, each view counted once, are so many times the file is made to keep its
reader busy."""
_TIMES_NAMED = 64
"""The same of all names together: weights may be tied under a few dozen of them."""
_ALWAYS_READ = 64 << 20
"""Bytes of tensors that any file may have: a small one may well repeat what it holds."""
_TORCH = frozenset({FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.PICKLE})
ITEM_SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1, "F8_E8M0": 1, "C32": 4, "C64": 8, "C128": 16,
}  # fmt: skip
"""Bytes of an element, of the types whose elements are whole bytes, each for itself."""
_UNSIGNED_FLOATS = frozenset({"F8_E8M0", "BOOL"})


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where the values of one tensor are.

    :param position: of the first byte in the file, or in `content`.
    :param stride: in elements, where they do not lie in one piece.
    :param swapped: big-endian.
    :param content: the string of a pickle that they stand in.
    :param conjugated: their imaginary parts are to be negated; then, if `negated`, all of them.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    position: int
    stride: tuple[int, ...] | None = None
    swapped: bool = False
    content: Content | None = None
    conjugated: bool = False
    negated: bool = False

    @property
    def nbytes(self) -> int:
        """Of its values, in bytes."""
        return prod(self.shape) * ITEM_SIZES[self.dtype]

    @property
    def is_plain(self) -> bool:
        """Whether its bytes in the file are its values, in one piece and in order."""
        turned = self.swapped and ITEM_SIZES[self.dtype] > 1
        return (
            self.stride is None
            and self.content is None
            and not (turned or self.conjugated or self.negated)
        )

    @property
    def view(self) -> tuple[object, ...]:
        """The same of two tensors that are the same view of the same bytes."""
        content = None if self.content is None else id(self.content)
        flips = (self.conjugated, self.negated)
        return content, self.position, self.dtype, self.shape, self.stride, flips


def stored_tensors(path: Path, header: Header) -> list[StoredTensor]:
    """The tensors of a file in the order in which they lie in it, to be compared.

    :param header: of this one file, as :func:`modelhub.formats.reading.read_header` gives it.
    :raises FormatError: it is of another format, or has tensors whose values cannot be read one by
        one: quantised or packed ones.
    :raises FileUnreadable: as :func:`modelhub.formats.reading.read_header`.
    """
    if header.format in _TORCH:
        from modelhub.formats.torchfile import open_torch

        found = of_torch(open_torch(path))
    elif header.format in (FileFormat.SAFETENSORS, FileFormat.GGUF):
        found = of_header(header)
    else:
        raise FormatError(f"{header.format} holds no tensors that can be compared", path=path)
    for one in found:
        if one.dtype not in ITEM_SIZES:
            raise FormatError(f"values of type {one.dtype} cannot be compared", path=path, hint="")
    refuse_overlaps(found, header.size, path)
    return sorted(found, key=lambda one: one.position)


def of_header(header: Header) -> list[StoredTensor]:
    """Those of a safetensors or GGUF file, in the order of its header, of whatever type."""
    swapped = header.format is FileFormat.GGUF and "big-endian" in header.notices
    return [
        StoredTensor(
            name, one.dtype, one.shape, header.data_start + one.data_offsets[0], swapped=swapped
        )
        for name, one in header.tensors.items()
    ]


def of_torch(file: TorchFile) -> list[StoredTensor]:
    """Those of a torch file that was opened with all positions, in its order, of whatever type."""
    return [stored(name, one, file.byteorder) for name, one in file.tensors.items()]


def stored(name: str, tensor: TorchTensor, byteorder: str) -> StoredTensor:
    """One tensor of a torch file.

    :param byteorder: of the file: ``little`` or ``big``.
    """
    if tensor.position is None:
        raise FormatError(f"{name}: it is not known where its values are")
    in_one_piece = is_in_one_piece(tensor.shape, tensor.stride)
    return StoredTensor(
        name=name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        position=tensor.position,
        stride=None if in_one_piece else tensor.stride,
        swapped=tensor.swapped or (byteorder == "big" and bool(tensor.storage_key)),
        content=tensor.content,
        conjugated=tensor.conjugated,
        negated=tensor.negated,
    )


def refuse_overlaps(tensors: list[StoredTensor], size: int, path: Path) -> None:
    """Refuse a small file whose views would make a huge one.

    :param size: of the file in bytes.
    :raises FormatError: they do.
    """
    total = sum(one.nbytes for one in tensors)
    if total <= _TIMES_READ * size + _ALWAYS_READ:
        return
    views = sum({one.view: one.nbytes for one in tensors}.values())
    if views > _TIMES_READ * size + _ALWAYS_READ or total > _TIMES_NAMED * size + _ALWAYS_READ:
        raise FormatError("its tensors overlap each other many times", path=path)


def read_values(
    descriptor: int, tensor: StoredTensor, most: int | None = None
) -> Iterator[memoryview]:
    """The values of a tensor, little-endian and in the order of its indices, in pieces.

    A piece is valid until the next one is asked for: all are in the same memory.

    :param most: so many bytes at most, from the start.
    :raises FormatError: the file ends within them.
    :raises OSError: it cannot be read.
    """
    left = tensor.nbytes if most is None else min(tensor.nbytes, most)
    if not left:
        return
    fill = _filling(descriptor, tensor.content)
    if tensor.stride is None:
        pieces = _in_order(fill, tensor.position, left)
    else:
        size = ITEM_SIZES[tensor.dtype]
        axes = axes_of(tensor.shape, tensor.stride, size)
        pieces = _cut(gathered(fill, tensor.position, axes, size), left)
    mend = _mending(tensor)
    for piece in pieces:
        if mend is not None:
            mend(piece)
        yield piece


def _in_order(fill: Fill, position: int, left: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(left, PIECE)))
    while left:
        piece = buffer[: min(left, PIECE)]
        fill(position, piece)
        position += len(piece)
        left -= len(piece)
        yield piece


def _cut(pieces: Iterator[memoryview], left: int) -> Iterator[memoryview]:
    """The first `left` bytes of large pieces, in pieces of the usual size."""
    for large in pieces:
        for start in range(0, len(large), PIECE):
            piece = large[start : start + min(PIECE, left)]
            left -= len(piece)
            yield piece
            if not left:
                return


def _filling(descriptor: int, content: Content | None) -> Fill:
    """What reads the bytes of the file, or of a string in its pickle."""
    if content is None:
        return partial(read_into, descriptor)
    from modelhub.formats.torchfile.within import source_of

    source = source_of(content, cast(BinaryIO, _ByPosition(descriptor)))
    return partial(_copy_into, source)


class _ByPosition(io.RawIOBase):
    """A file that is open elsewhere, with a position of its own: others read it meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to `offset`, always counted from the start."""
        self._position = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one call of the system does."""
        count = _preadv(self._descriptor, memoryview(buffer), self._position)
        self._position += count
        return count


def _copy_into(source: Source, position: int, buffer: memoryview) -> None:
    data = source.read(position, len(buffer))
    if len(data) < len(buffer):
        raise FormatError("an array ends within its values", offset=source.origin + len(data))
    buffer[:] = data


def read_into(descriptor: int, position: int, buffer: memoryview) -> None:
    """Fill `buffer` with the bytes at `position` of a file.

    :raises FormatError: the file ends before.
    :raises OSError: it cannot be read.
    """
    while buffer:
        count = _preadv(descriptor, buffer, position)
        if not count:
            raise FormatError("the file ends within a tensor", offset=position)
        position += count
        buffer = buffer[count:]


def _preadv(descriptor: int, buffer: memoryview, position: int) -> int:
    return os.preadv(descriptor, [buffer], position)


def _pread(descriptor: int, buffer: memoryview, position: int) -> int:
    data = os.pread(descriptor, len(buffer), position)
    buffer[: len(data)] = data
    return len(data)


if not hasattr(os, "preadv"):  # older versions of macOS
    _preadv = _pread


def _mending(tensor: StoredTensor) -> Callable[[memoryview], None] | None:
    """What brings a piece to little-endian values as they are meant, in place; None if it is so."""
    halves = 2 if tensor.dtype.startswith("C") else 1
    size = ITEM_SIZES[tensor.dtype] // halves
    swap = tensor.swapped and size > 1
    # Both together leave the imaginary part as it is, and negate the real one.
    negate = [tensor.negated, tensor.negated != tensor.conjugated][:halves]
    if not swap and not any(negate):
        return None

    def mend(piece: memoryview) -> None:
        import numpy as np

        numbers = np.frombuffer(piece, f"<u{size}")
        if swap:
            numbers.byteswap(inplace=True)
        for start, wanted in enumerate(negate):
            if wanted and tensor.dtype[0] in "IU":
                np.negative(numbers, out=numbers)
            elif wanted and tensor.dtype not in _UNSIGNED_FLOATS:
                numbers[start::halves] ^= 1 << (8 * size - 1)

    return mend


def open_to_read(path: Path) -> int:
    """A descriptor of a regular file, to be closed.

    :raises FileUnreadable: it cannot be opened, or is no regular file.
    """
    from modelhub.formats.reading import require_regular

    require_regular(path)
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error


Progress = Callable[[int], None]
"""Called with the bytes read so far."""
