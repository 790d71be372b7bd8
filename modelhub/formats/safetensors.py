"""The header of a safetensors file, read within bounds and as strictly as the reference reader.

The rules are those of ``huggingface/safetensors``, ``safetensors/src/tensor.rs`` (``Metadata``'s
``validate`` and ``SafeTensors::read_metadata``): eight bytes of length (at most 100,000,000), JSON
in UTF-8, every tensor of a known dtype, the data of all tensors one after the other from the first
byte behind the header to the last byte of the file, without a hole or an overlap, each as long as
its dtype and shape make it, and no product of those beyond 64 bits.

Three things are refused here that the reference lets pass: a header that does not begin with
``{`` (which the format's description demands), a tensor described twice (the reference takes the
last), and a tensor described by a list in place of an object. And there are limits, so that no
file costs more than a few seconds and a few hundred MiB: :data:`MAX_TENSORS` tensors and
:data:`MAX_METADATA` pairs of metadata in one file. The largest models published have fewer than
100,000 tensors in all their shards.

Nearly every header is in the form that the reference writes. Those are decoded in one go by
msgspec, and only when a count of the quotation marks shows that nothing else can be in there;
every other header goes through :mod:`.safetensors_json`. A list of tensors that came before, byte
for byte, is not decoded and validated again (:mod:`.layouts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import BinaryIO, Final, TypeAlias

import msgspec

from modelhub.errors import FormatError
from modelhub.formats.layouts import Layouts
from modelhub.formats.safetensors_json import decode_strictly, shown
from modelhub.formats.tensors import FileFormat, Header, Tensor

MAX_HEADER: Final = 100_000_000
"""The longest header in bytes, as in the reference (``MAX_HEADER_SIZE``)."""

MAX_TENSORS: Final = 250_000
"""The most tensors in one file."""

MAX_METADATA: Final = 100_000
"""The most pairs in ``__metadata__``."""

DTYPE_BITS: Final[Mapping[str, int]] = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of one element by dtype (``Dtype::bitsize`` of the reference)."""

_Tensors: TypeAlias = dict[str, Tensor]
_Metadata: TypeAlias = dict[str, str]

_LENGTH = 8
_QUOTES_OF_A_TENSOR = 10
"""Around its name, its three keys and its dtype."""
_MANY_DIMENSIONS = 32
_CROWD = 8 << 20
"""From this many bytes on, a header is looked over for crowds before it is decoded."""
_USIZE = 1 << 64
_SPACES = b" \t\n\r"

_METADATA_FIRST = re.compile(rb'\{\s*"__metadata__"\s*:\s*(?=\{)')
_METADATA_ENDS = re.compile(rb'[^\\]"\s*\}\s*(,\s*)(?=")')
_SIGNED = re.compile(rb"[\[,:]\s*-")
_PAIR = re.compile(rb'"\s*:\s*"')
_decode_tensors = msgspec.json.Decoder(_Tensors).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_NOT_AS_USUAL = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_LAYOUTS = Layouts()


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` means to be safetensors.

    That is so too where the length is beyond all limits, but what follows looks like the header.
    """
    if head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= MAX_HEADER or head[9:10] in (b'"', b"}", b" ", b"\n", b"\r", b"\t", b"")


def read_safetensors(file: BinaryIO, size: int, head: bytes = b"") -> Header:
    """The header of a safetensors file of `size` bytes.

    :param head: the first bytes of the file, where they were read before; `file` is touched only
        if they do not hold the whole header.
    :raises FormatError: the file is not as the format requires; without its path.
    """
    if len(head) < _LENGTH:
        file.seek(0)
        head = file.read(_LENGTH)
    length = _header_length(head, size)
    end = _LENGTH + length
    if len(head) < end:
        file.seek(len(head))
        # A file object without a buffer gives at most what one system call does.
        pieces = [head]
        missing = end - len(head)
        while missing and (piece := file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        head = b"".join(pieces)
        if missing:
            raise FormatError("the file ends within its header", offset=len(head))
    return decode_safetensors(head[_LENGTH:end], size)


def decode_safetensors(header: bytes, size: int) -> Header:
    """The same of the header alone: the JSON text behind the eight bytes of its length.

    :param size: of the whole file, in bytes.
    :raises FormatError: as :func:`read_safetensors`.
    """
    if header[:1] != b"{":
        raise FormatError("the header does not begin with {", offset=_LENGTH)
    if len(header) > _CROWD:
        _refuse_crowds(header)
    tensors, metadata, data_size = _decoded(header)
    data_start = _LENGTH + len(header)
    end = data_start + data_size
    if end > size:
        raise FormatError(
            f"the file is cut off: {end - size:,} of its {end:,} bytes are missing", offset=size
        )
    if end < size:
        raise FormatError(f"{size - end:,} bytes follow the last tensor", offset=end)
    return Header(
        format=FileFormat.SAFETENSORS,
        tensors=tensors,
        metadata=metadata,
        data_start=data_start,
        size=size,
    )


def _header_length(head: bytes, size: int) -> int:
    if len(head) < _LENGTH:
        raise FormatError("the file is too short for a safetensors header", offset=len(head))
    length = int.from_bytes(head[:_LENGTH], "little")
    if length > MAX_HEADER:
        raise FormatError(f"a header of {length:,} bytes, more than the {MAX_HEADER:,} allowed")
    if length < 2:
        raise FormatError(f"a header of {length} bytes is too short")
    if _LENGTH + length > size:
        raise FormatError(f"the file is cut off within its header of {length:,} bytes", offset=size)
    return length


def _decoded(header: bytes) -> tuple[Mapping[str, Tensor], _Metadata, int]:
    """The content of a header, and how many bytes the data of all its tensors are."""
    data_start = _LENGTH + len(header)
    if (cut := _cut(header)) is not None:
        metadata, start, end = cut
        known = _LAYOUTS.find(header, start, end)
        if known is not None:
            return known.tensors, metadata, known.data_size
        quick = _decode_quickly(header, start)
        if quick is not None:
            size = _validated_end(quick, data_start)
            return _LAYOUTS.learn(header, start, end, quick, size), metadata, size
    tensors, metadata = decode_strictly(header)
    if len(metadata) > MAX_METADATA:
        raise _too_many("pairs of metadata", MAX_METADATA)
    return tensors, metadata, _validated_end(tensors, data_start)


def _cut(header: bytes) -> tuple[_Metadata, int, int] | None:
    """The metadata at the start of a header in the usual form, and where the list of its tensors
    begins and ends; None if it has another form, or is no good."""
    end = header.rfind(b"}") + 1
    if end < len(header) and header[end:].strip(_SPACES):
        return None
    first = _METADATA_FIRST.match(header)
    if first is None:
        return {}, 1, end
    # Cut in two where the metadata seem to end. If both parts decode, that was right: no other
    # place could give two whole objects.
    ends = _METADATA_ENDS.search(header, first.end())
    if ends is None:
        return None
    try:
        metadata = _decode_metadata(header[first.end() : ends.start(1)])
    except _NOT_AS_USUAL:
        return None
    return None if len(metadata) > MAX_METADATA else (metadata, ends.end(), end)


def _decode_quickly(header: bytes, start: int) -> _Tensors | None:
    """The tensors of a header in the usual form, whose list begins at `start`; None if it has
    another, or is no good."""
    text = header if start == 1 else b"{" + header[start:]
    try:
        tensors = _decode_tensors(text)
    except _NOT_AS_USUAL:
        return None
    # Each tensor takes ten quotation marks at least: with no more than that in the text, there is
    # no name twice, no key twice, and no key that is not known. A backslash could hide one.
    if text.count(b'"') != _QUOTES_OF_A_TENSOR * len(tensors) or b"\\" in text:
        return None
    # msgspec takes -0 for 0; and below nothing looks at a sign.
    if b"-" in text and _SIGNED.search(text):
        return None
    return None if "__metadata__" in tensors else tensors


def _validated_end(tensors: Mapping[str, Tensor], data_start: int) -> int:
    """Where the data of the last tensor end, counted from the first one's start."""
    if len(tensors) > MAX_TENSORS:
        raise _too_many("tensors", MAX_TENSORS)
    start = 0
    bits_of = DTYPE_BITS
    for tensor in tensors.values():
        begin, end = tensor.data_offsets
        shape = tensor.shape
        bits = bits_of.get(tensor.dtype, 0)
        if len(shape) == 2:
            # Most are, and this takes half the time of the loop.
            rows, columns = shape
            bits *= rows * columns
        elif len(shape) > _MANY_DIMENSIONS:
            break
        else:
            for extent in shape:
                bits *= extent
        # Zero elements hide a product that was too large; so does a wrong dtype.
        if begin != start or not bits or bits != (end - begin) << 3:
            break
        start = end
    else:
        if start << 3 < _USIZE:
            return start
    return _validated_with_care(tensors, data_start)


def _validated_with_care(tensors: Mapping[str, Tensor], data_start: int) -> int:
    """The same in any order, with the name of what is wrong."""
    start = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        begin, end = tensor.data_offsets
        called = shown(name)
        if end < begin:
            raise FormatError(
                f"tensor {called} ends before it begins", offset=data_start + _bounded(begin)
            )
        if begin != start:
            what = "overlaps the tensor before it" if begin < start else "leaves a hole before it"
            raise FormatError(f"tensor {called} {what}", offset=data_start + start)
        bits = _bits(called, tensor, data_start + start)
        if bits % 8 or end - begin != bits // 8:
            raise FormatError(
                f"tensor {called} has {end - begin:,} bytes of data, "
                f"but {tensor.dtype} of its shape takes {bits / 8:,.10g}",
                offset=data_start + start,
            )
        start = end
    return start


def _bits(called: str, tensor: Tensor, offset: int) -> int:
    width = DTYPE_BITS.get(tensor.dtype)
    if width is None:
        raise FormatError(
            f"tensor {called} is of unknown type {shown(tensor.dtype)}", offset=offset
        )
    product = 1
    for factor in (*tensor.shape, width):
        product *= factor
        if product >= _USIZE:
            raise FormatError(f"the shape of tensor {called} overflows", offset=offset)
    return product


def _refuse_crowds(header: bytes) -> None:
    """Refuse what would take far more memory decoded than it takes as text."""
    start = 0
    if (first := _METADATA_FIRST.match(header)) and (
        ends := _METADATA_ENDS.search(header, first.end())
    ):
        start = ends.end()
    if header.count(b"{", start) > MAX_TENSORS + 1:
        raise _too_many("tensors", MAX_TENSORS)
    if header.count(b",", start) > 16 * MAX_TENSORS:
        raise _too_many("numbers", 16 * MAX_TENSORS)
    # The dtype of each tensor is such a pair too.
    if sum(1 for _ in _PAIR.finditer(header)) > MAX_METADATA + MAX_TENSORS:
        raise _too_many("pairs of texts", MAX_METADATA + MAX_TENSORS)


def _too_many(what: str, limit: int) -> FormatError:
    return FormatError(f"the header has more than {limit:,} {what}", offset=_LENGTH)


def _bounded(offset: int) -> int:
    return min(offset, _USIZE)
