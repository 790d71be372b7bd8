"""Opcodes of numbers and of strings, as ``pickletools`` describes them."""

from __future__ import annotations

import codecs
import re
from struct import Struct

from modelhub.formats.pickles.machine import (
    MAX_INLINE,
    MAX_MEMORY,
    Beyond,
    Machine,
    Malformed,
    NeedMore,
    Opcode,
)
from modelhub.formats.pickles.records import Changeable, OutOfBand, Skipped

_INT32 = Struct("<i").unpack_from
_UINT32 = Struct("<I").unpack_from
_UINT64 = Struct("<Q").unpack_from
_FLOAT64 = Struct(">d").unpack_from
_MAX_NUMBER = 1024
"""Bytes of a number in binary: torch's magic number has 10. Of longer ones only the end counts."""
_OCTAL = re.compile(rb"\s*[-+]?0[0-7]+\s*")
_DIGITS = re.compile(rb"\s*[-+]?\d[\d_]*\s*")
_SHORT = 1024
_STRING_WEIGHT = 64

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
    b"\n": b"",
}  # fmt: skip


def line(
    machine: Machine, data: bytes, position: int, longest: int = MAX_INLINE
) -> tuple[int, int]:
    """Where the line at `position` ends, and where what follows its newline begins.

    :raises Malformed: the source ends before, or the line is longer than `longest`.
    :raises NeedMore: the window ends before.
    """
    end = data.find(b"\n", position, min(machine.limit, position + longest))
    if end >= 0:
        return end, end + 1
    if machine.limit - position >= longest:
        raise Beyond(f"a line of more than {longest:,} bytes")
    if machine.base + machine.limit >= machine.source.size:
        raise Malformed("it ends within a line")
    raise NeedMore(longest + 16)


def _number(machine: Machine, data: bytes, position: int) -> tuple[bytes, int]:
    end, behind = line(machine, data, position)
    machine.memory -= end - position
    return data[position:end], behind


def _whole(text: bytes) -> int:
    """A whole number as C reads it: by its prefix, or by a leading nought as octal.

    What has more digits than Python takes stands for no number that anything here depends on.
    """
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    try:
        return int(text, 0)
    except ValueError:
        if not _DIGITS.fullmatch(text):
            raise
        return 0


def _int(machine: Machine, data: bytes, position: int) -> int:
    text, behind = _number(machine, data, position)
    # Protocol 0 writes True and False as these.
    value: object = {b"00": False, b"01": True}.get(text)
    machine.stack.append(_whole(text) if value is None else value)
    return behind


def _long(machine: Machine, data: bytes, position: int) -> int:
    text, behind = _number(machine, data, position)
    machine.stack.append(_whole(text.removesuffix(b"L")))
    return behind


def _float(machine: Machine, data: bytes, position: int) -> int:
    text, behind = _number(machine, data, position)
    machine.stack.append(float(text))
    return behind


def _binint(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(_INT32(data, position)[0])
    return position + 4


def _binint1(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(data[position])
    return position + 1


def _binint2(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(data[position] | data[position + 1] << 8)
    return position + 2


def _long1(machine: Machine, data: bytes, position: int) -> int:
    return _long_bytes(machine, data, position + 1, data[position])


def _long4(machine: Machine, data: bytes, position: int) -> int:
    return _long_bytes(machine, data, position + 4, _INT32(data, position)[0])


def _long_bytes(machine: Machine, data: bytes, position: int, size: int) -> int:
    if size < 0:
        raise Malformed("a number of negative length")
    if size > _MAX_NUMBER:
        return _bytes_at(machine, position, size, False)
    end = _end(machine, position, size)
    machine.stack.append(int.from_bytes(data[position:end], "little", signed=True))
    return end


def _binfloat(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(_FLOAT64(data, position)[0])
    return position + 8


def _none(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(None)
    return position


def _true(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(True)
    return position


def _false(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(False)
    return position


def _end(machine: Machine, position: int, size: int) -> int:
    """Where a string of `size` bytes at `position` ends."""
    end = position + size
    if end > machine.limit:
        if machine.base + end > machine.source.size:
            raise Malformed(f"it ends within a string of {size:,} bytes")
        raise NeedMore(size + 16)
    return end


def _is_skipped(machine: Machine, position: int, size: int, is_text: bool) -> bool:
    """Whether the string is left unread; a record stands for it then."""
    machine.memory -= _STRING_WEIGHT
    if size <= _SHORT or (size <= MAX_INLINE and machine.memory > MAX_MEMORY // 2):
        return False
    _bytes_at(machine, position, size, is_text)
    return True


def _bytes_at(machine: Machine, position: int, size: int, is_text: bool) -> int:
    start = machine.base + position
    if start + size > machine.source.size:
        raise Malformed(f"it ends within a string of {size:,} bytes")
    machine.stack.append(Skipped(machine.source.origin + start, size, is_text))
    return position + size


def _text(machine: Machine, data: bytes, position: int, size: int) -> int:
    if size > _SHORT and _is_skipped(machine, position, size, True):
        return position + size
    end = _end(machine, position, size)
    text = data[position:end].decode("utf-8", "surrogatepass")
    machine.memory -= _STRING_WEIGHT + (size if text.isascii() else 4 * size)
    machine.stack.append(text)
    return end


def _bytes(machine: Machine, data: bytes, position: int, size: int) -> int:
    if size > _SHORT and _is_skipped(machine, position, size, False):
        return position + size
    end = _end(machine, position, size)
    machine.memory -= _STRING_WEIGHT + size
    machine.stack.append(data[position:end])
    return end


def _old_string(machine: Machine, data: bytes, position: int, size: int) -> int:
    """A ``str`` of Python 2: text where it is UTF-8, as torch takes it, else bytes."""
    behind = _bytes(machine, data, position, size)
    _to_text(machine)
    return behind


def _to_text(machine: Machine) -> None:
    value = machine.stack[-1]
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return
        machine.memory -= 0 if text.isascii() else 3 * len(value)
        machine.stack[-1] = text


def _string(machine: Machine, data: bytes, position: int) -> int:
    end, behind = line(machine, data, position)
    quoted = data[position:end].strip()
    if len(quoted) < 2 or quoted[:1] not in b"\"'" or quoted[:1] != quoted[-1:]:
        raise Malformed("a string without its quotes")
    machine.memory -= _STRING_WEIGHT + len(quoted)
    machine.stack.append(_ESCAPE.sub(_unescaped, quoted[1:-1]))
    _to_text(machine)
    return behind


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if len(escape) == 3 and escape[:1] == b"x":
        return bytes([int(escape[1:], 16)])
    if escape[:1] in b"01234567":
        return bytes([int(escape, 8) & 0xFF])
    return _ESCAPES.get(escape, escape if escape in b"\\'\"" else b"\\" + escape)


def _unicode(machine: Machine, data: bytes, position: int) -> int:
    end, behind = line(machine, data, position)
    # Not by name: that would import the codec.
    text = codecs.raw_unicode_escape_decode(data[position:end])[0]
    machine.memory -= _STRING_WEIGHT + (len(text) if text.isascii() else 4 * len(text))
    machine.stack.append(text)
    return behind


def _short_binstring(machine: Machine, data: bytes, position: int) -> int:
    return _old_string(machine, data, position + 1, data[position])


def _binstring(machine: Machine, data: bytes, position: int) -> int:
    size = _INT32(data, position)[0]
    if size < 0:
        raise Malformed("a string of negative length")
    return _old_string(machine, data, position + 4, size)


def _short_binunicode(machine: Machine, data: bytes, position: int) -> int:
    return _text(machine, data, position + 1, data[position])


def _binunicode(machine: Machine, data: bytes, position: int) -> int:
    return _text(machine, data, position + 4, _UINT32(data, position)[0])


def _binunicode8(machine: Machine, data: bytes, position: int) -> int:
    return _text(machine, data, position + 8, _UINT64(data, position)[0])


def _short_binbytes(machine: Machine, data: bytes, position: int) -> int:
    return _bytes(machine, data, position + 1, data[position])


def _binbytes(machine: Machine, data: bytes, position: int) -> int:
    return _bytes(machine, data, position + 4, _UINT32(data, position)[0])


def _binbytes8(machine: Machine, data: bytes, position: int) -> int:
    return _bytes(machine, data, position + 8, _UINT64(data, position)[0])


def _bytearray8(machine: Machine, data: bytes, position: int) -> int:
    behind = _binbytes8(machine, data, position)
    value = machine.stack[-1]
    if isinstance(value, bytes):
        machine.stack[-1] = Changeable(value)
    return behind


def _next_buffer(machine: Machine, data: bytes, position: int) -> int:
    machine.stack.append(OutOfBand())
    return position


def _readonly_buffer(machine: Machine, data: bytes, position: int) -> int:
    machine.stack[-1] = machine.stack[-1]  # raises IndexError where there is no value
    return position


SCALARS: dict[int, tuple[int, Opcode]] = {
    ord("I"): (40, _int),
    ord("J"): (40, _binint),
    ord("K"): (8, _binint1),
    ord("M"): (40, _binint2),
    ord("L"): (64, _long),
    0x8A: (64, _long1),
    0x8B: (64, _long4),
    ord("F"): (40, _float),
    ord("G"): (40, _binfloat),
    ord("N"): (8, _none),
    0x88: (8, _true),
    0x89: (8, _false),
    ord("S"): (8, _string),
    ord("T"): (8, _binstring),
    ord("U"): (8, _short_binstring),
    ord("V"): (8, _unicode),
    ord("X"): (8, _binunicode),
    0x8C: (8, _short_binunicode),
    0x8D: (8, _binunicode8),
    ord("B"): (8, _binbytes),
    ord("C"): (8, _short_binbytes),
    0x8E: (8, _binbytes8),
    0x96: (8, _bytearray8),
    0x97: (48, _next_buffer),
    0x98: (0, _readonly_buffer),
}
"""By opcode: the memory that its value takes, in bytes and without a string's content, and what
does it."""
