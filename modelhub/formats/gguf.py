"""The header of a GGUF file, versions 1 to 3, of either byte order, read within bounds.

The layout is that of ggml's ``docs/gguf.md``, the checks are those of ``ggml/src/gguf.cpp``
(``gguf_init_from_reader``): no key and no tensor twice, an alignment that is a power of two, rows
of whole blocks, data that are aligned and lie one after the other. Two limits of ggml's own memory
layout (4 dimensions, 63 letters of a name) are not applied: files for image models break them, and
ComfyUI reads those.

GGUF lists the innermost dimension first; here, as everywhere in modelhub, shapes are in the order
of torch. Where ComfyUI-GGUF's converter had to reshape a tensor, it wrote the true shape under
``comfy.gguf.orig_shape.<name>`` (``loader.py``, ``get_orig_shape``), and that is the shape here.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from math import prod
from typing import BinaryIO, Final, TypeAlias

from modelhub.errors import FormatError
from modelhub.formats.gguf_types import TYPES
from modelhub.formats.safetensors import MAX_TENSORS
from modelhub.formats.tensors import FileFormat, Header, Tensor

MAX_HEADER: Final = 100_000_000
"""The most bytes before the data. The largest vocabularies take some 20 MB."""

MAX_PAIRS: Final = 65_536
"""The most key-value pairs; models have a few dozen, or one more for each reshaped tensor."""

MAX_STRINGS: Final = 4_000_000
"""The most strings in all arrays together."""

_STRING, _ARRAY = 8, 9
_SCALARS: Final[Mapping[int, str]] = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_NEWEST_VERSION = 3
_ALIGNMENT = 32
_MOST_DIMENSIONS = 8
_KEPT_ELEMENTS = 8
_KEPT_TEXT = 64 << 10
_LONGEST_NAME = 4096
_READ_AHEAD = 1 << 20
_INT64 = 1 << 63
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."

_Scalar: TypeAlias = int | float | bool | str
Array: TypeAlias = list[str] | list[int] | list[float]


def read_gguf(file: BinaryIO, size: int, head: bytes = b"") -> Header:
    """The header of a GGUF file of `size` bytes.

    Arrays of the metadata are cut to their first elements, with their length told.

    :param head: the first bytes of the file, where they were read before.
    :raises FormatError: the file is damaged or made to mislead; without its path.
    """
    return _Reader(_Cursor(file, size, head), size).header()


def read_arrays(
    file: BinaryIO, size: int, keys: Collection[str]
) -> tuple[Header, dict[str, Array]]:
    """The header, and those of these arrays in full that there are.

    :raises FormatError: as :func:`read_gguf`.
    """
    reader = _Reader(_Cursor(file, size, b""), size, keys)
    return reader.header(), reader.arrays


class _Cursor:
    """Reads on through the start of a file, never past :data:`MAX_HEADER`."""

    def __init__(self, file: BinaryIO, size: int, head: bytes) -> None:
        self._file = file
        self._end = min(size, MAX_HEADER)
        self._size = size
        self._data = head
        self._base = 0
        self._at = 0
        self.order = "<"

    @property
    def position(self) -> int:
        """Where in the file the next byte is."""
        return self._base + self._at

    def need(self, count: int, what: str) -> None:
        """Refuse what cannot be there in full."""
        if count <= self._end - self.position:
            return
        if self._end < self._size:
            reason = f"the header is longer than the {MAX_HEADER:,} bytes allowed"
        else:
            reason = f"the file ends within {what}"
        raise FormatError(reason, offset=self.position)

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        if count > len(self._data) - self._at:
            self.need(count, what)
            self._refill(count, what)
        start = self._at
        self._at += count
        return self._data[start : self._at]

    def _refill(self, count: int, what: str) -> None:
        position = self.position
        self._file.seek(position)
        wanted = min(max(count, _READ_AHEAD), self._size - position)
        pieces: list[bytes] = []
        while wanted and (piece := self._file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        self._data, self._base, self._at = b"".join(pieces), position, 0
        if len(self._data) < count:
            raise FormatError(f"the file ends within {what}", offset=position + len(self._data))

    def skip(self, count: int, what: str) -> None:
        """Go `count` bytes on without reading them."""
        self.need(count, what)
        self._at += count
        if self._at > len(self._data):
            self._data, self._base, self._at = b"", self.position, 0

    def number(self, code: str, what: str) -> int:
        """An integer of the :mod:`struct` type `code`."""
        form = self.order + code
        return int(struct.unpack(form, self.take(struct.calcsize(form), what))[0])


class _Reader:
    """Goes once through a header."""

    def __init__(self, cursor: _Cursor, size: int, whole: Collection[str] = ()) -> None:
        self._cursor = cursor
        self._size = size
        self._whole = whole
        self.arrays: dict[str, Array] = {}
        self._count = "Q"
        self._strings = 0
        self._metadata: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._alignment = _ALIGNMENT

    def header(self) -> Header:
        """All of it, checked."""
        cursor = self._cursor
        if cursor.take(4, "its first bytes") != b"GGUF":
            raise FormatError("it does not begin with GGUF")
        version = self._version()
        tensors = cursor.number(self._count, "the counts")
        pairs = cursor.number(self._count, "the counts")
        if tensors > MAX_TENSORS:
            raise FormatError(
                f"{tensors:,} tensors, more than the {MAX_TENSORS:,} allowed", offset=8
            )
        if pairs > MAX_PAIRS:
            raise FormatError(f"{pairs:,} pairs, more than the {MAX_PAIRS:,} allowed", offset=8)
        for _ in range(pairs):
            self._pair()
        infos: dict[str, Tensor] = {}
        for _ in range(tensors):
            self._tensor(infos)
        data_start = -(-cursor.position // self._alignment) * self._alignment
        self._check_data(infos, data_start)
        notices = ("big-endian",) if cursor.order == ">" else ()
        return Header(
            format=FileFormat.GGUF,
            tensors=infos,
            metadata={"gguf.version": str(version)} | self._metadata,
            data_start=data_start,
            size=self._size,
            notices=notices,
        )

    def _version(self) -> int:
        cursor = self._cursor
        raw = cursor.take(4, "the version")
        version = int.from_bytes(raw, "little")
        if not version & 0xFFFF:
            cursor.order = ">"
            version = int.from_bytes(raw, "big")
        if not 1 <= version <= _NEWEST_VERSION:
            raise FormatError(
                f"GGUF version {version}, where 1 to {_NEWEST_VERSION} are known", offset=4
            )
        if version == 1:
            self._count = "I"
        return version

    def _text(self, what: str, limit: int) -> str:
        """A string; one that is longer than `limit` bytes is cut, or refused where it is a name."""
        cursor = self._cursor
        length = cursor.number(self._count, what)
        cursor.need(length, what)
        kept = cursor.take(min(length, limit), what)
        cursor.skip(length - len(kept), what)
        # llama.cpp's tokenizers have strings that are no UTF-8.
        text = kept.decode("utf-8", "replace")
        return text if length <= limit else f"{text}… ({length:,} bytes)"

    def _name(self, what: str) -> str:
        start = self._cursor.position
        name = self._text(what, _LONGEST_NAME + 1)
        if not 0 < len(name) <= _LONGEST_NAME:
            raise FormatError(f"{what} is empty or too long", offset=start)
        return name

    def _pair(self) -> None:
        cursor = self._cursor
        start = cursor.position
        key = self._name("a key")
        if key in self._metadata:
            raise FormatError(f"the key {key[:80]!r} is there twice", offset=start)
        kind = cursor.number("I", "the type of a value")
        if kind == _ARRAY:
            self._metadata[key] = self._array(key)
            return
        value = self._value(kind, f"the value of {key[:80]!r}")
        if key == "general.alignment":
            self._set_alignment(kind, value, start)
        self._metadata[key] = _told(value)

    def _set_alignment(self, kind: int, value: _Scalar, offset: int) -> None:
        if kind != 4 or not isinstance(value, int) or value <= 0 or value & (value - 1):
            raise FormatError(f"an alignment of {value} is no power of two", offset=offset)
        self._alignment = value

    def _value(self, kind: int, what: str) -> _Scalar:
        cursor = self._cursor
        if kind == _STRING:
            return self._text(what, _KEPT_TEXT)
        code = _SCALARS.get(kind)
        if code is None:
            raise FormatError(f"{what} is of unknown type {kind}", offset=cursor.position)
        form = cursor.order + code
        value: _Scalar = struct.unpack(form, cursor.take(struct.calcsize(form), what))[0]
        return value

    def _array(self, key: str) -> str:
        cursor = self._cursor
        what = f"the array {key[:80]!r}"
        kind = cursor.number("I", what)
        start = cursor.position
        count = cursor.number(self._count, what)
        if kind == _STRING:
            # An empty string takes as much as its length does.
            cursor.need(count * struct.calcsize(f"<{self._count}"), what)
            self._strings += count
            if self._strings > MAX_STRINGS:
                raise FormatError(f"more than {MAX_STRINGS:,} strings in arrays", offset=start)
            if key in self._whole:
                self.arrays[key] = texts = [self._text(what, _KEPT_TEXT) for _ in range(count)]
                return _listed(texts[:_KEPT_ELEMENTS], count)
            kept = [_told(self._value(kind, what)) for _ in range(min(count, _KEPT_ELEMENTS))]
            for _ in range(count - len(kept)):
                cursor.skip(cursor.number(self._count, what), what)
            return _listed(kept, count)
        code = _SCALARS.get(kind)
        if code is None:
            raise FormatError(f"{what} is of unknown type {kind}", offset=start)
        width = struct.calcsize(f"<{code}")
        cursor.need(count * width, what)
        if key in self._whole:
            data = cursor.take(count * width, what)
            self.arrays[key] = numbers = list(struct.unpack(f"{cursor.order}{count}{code}", data))
            return _listed([_told(number) for number in numbers[:_KEPT_ELEMENTS]], count)
        values = [self._value(kind, what) for _ in range(min(count, _KEPT_ELEMENTS))]
        cursor.skip((count - len(values)) * width, what)
        if key.startswith(_ORIGINAL_SHAPE) and len(values) == count and code in "iIqQ":
            extents = tuple(int(value) for value in values)
            if min(extents, default=0) > 0:
                self._shapes[key.removeprefix(_ORIGINAL_SHAPE)] = extents
        return _listed([_told(value) for value in values], count)

    def _tensor(self, infos: dict[str, Tensor]) -> None:
        cursor = self._cursor
        start = cursor.position
        name = self._name("the name of a tensor")
        what = f"tensor {name[:80]!r}"
        if name in infos:
            raise FormatError(f"{what} is there twice", offset=start)
        dimensions = cursor.number("I", what)
        if dimensions > _MOST_DIMENSIONS:
            raise FormatError(f"{what} has {dimensions:,} dimensions", offset=start)
        extents = [cursor.number(self._count, what) for _ in range(dimensions)]
        number = cursor.number("I", what)
        offset = cursor.number("Q", what)
        if number not in TYPES:
            raise FormatError(
                f"{what} is of type {number}, which is not known",
                offset=start,
                hint="the file may be newer than this modelhub, or damaged",
            )
        dtype, block, block_bytes = TYPES[number]
        elements = prod(extents)
        if elements >= _INT64 or max(extents, default=0) >= _INT64:
            raise FormatError(f"the shape of {what} overflows", offset=start)
        row = extents[0] if extents else 1
        if row % block:
            raise FormatError(
                f"{what} has rows of {row:,}, not of whole {dtype} blocks", offset=start
            )
        shape = tuple(reversed(extents))
        original = self._shapes.get(name)
        if original is not None and prod(original) == elements:
            shape = original
        infos[name] = Tensor(dtype, shape, (offset, offset + elements // block * block_bytes))

    def _check_data(self, infos: Mapping[str, Tensor], data_start: int) -> None:
        end = 0
        for name, tensor in sorted(infos.items(), key=lambda item: item[1].data_offsets):
            begin, behind = tensor.data_offsets
            what = f"tensor {name[:80]!r}"
            if begin % self._alignment:
                raise FormatError(f"{what} is not aligned", offset=data_start + end)
            if begin < end:
                raise FormatError(f"{what} overlaps the one before it", offset=data_start + end)
            end = behind
        missing = data_start + end - self._size
        if infos and missing > 0:
            raise FormatError(
                f"the file is cut off: {missing:,} of its {data_start + end:,} bytes are missing",
                offset=self._size,
            )


def _told(value: _Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _listed(kept: list[str], count: int) -> str:
    more = f", … {count:,} in all" if count > len(kept) else ""
    return f"[{', '.join(kept)}{more}]"
