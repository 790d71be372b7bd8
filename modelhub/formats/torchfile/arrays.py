"""Numpy's arrays and numbers, out of the inert records that would rebuild them.

Format: ``numpy/_core/src/multiarray/methods.c`` (``array_reduce``, ``array_setstate``: version,
shape, dtype, whether it is in Fortran's order, bytes), ``numpy/_core/numeric.py`` (``_frombuffer``,
what protocol 5 calls instead), ``descriptor.c`` (``arraydescr_reduce``: the dtype's code without
its byte order, which BUILD adds) and ``scalartypes.c.src`` (``scalar``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

from modelhub.errors import FormatError
from modelhub.formats.pickles import Call, Global, Skipped
from modelhub.formats.torchfile.strings import Content, Strings

_TYPES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL", "c8": "C64", "c16": "C128",
}  # fmt: skip
_NUMBERS = {
    "F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U64": "Q",
    "U32": "I", "U16": "H", "U8": "B", "BOOL": "?",
}  # fmt: skip
_SIZES = {name: int(code[1:]) for code, name in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class Array:
    """A numpy array: shape and stride in elements, its bytes in the pickle."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    swapped: bool
    content: Content

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return prod(self.shape) * _SIZES[self.dtype]


def array(call: Call, strings: Strings, at: int) -> Array | None:
    """The array that a call would give; None where it is none, or one of no plain numbers.

    :param at: where the pickle is in the file, for error messages.
    :raises FormatError: its shape is none, or its bytes are more or fewer than it needs.
    """
    described = _described(call)
    if described is None:
        return None
    extents, dtype, order, raw = described
    known = _type(dtype)
    content = strings.content(raw)
    if known is None or content is None:
        return None
    shape, stride = _layout(_extents(extents, at), order, at)
    found = Array(known[0], shape, stride, known[1], content)
    _check_length(found, at)
    return found


def number(value: object, strings: Strings) -> float | int | None:
    """The value of a numpy scalar; None where it is none, or a complex or unknown one."""
    if not isinstance(value, Call) or not _is_numpy(value.callable, ("scalar",)):
        return None
    args = value.args
    known = _type(args[0]) if isinstance(args, tuple) and len(args) == 2 else None
    content = strings.content(args[1]) if known and isinstance(args, tuple) else None
    if known is None or known[0] not in _NUMBERS or not isinstance(content, bytes):
        return None
    if len(content) != _SIZES[known[0]]:
        return None
    result: float | int
    (result,) = struct.unpack((">" if known[1] else "<") + _NUMBERS[known[0]], content)
    return result


def _is_numpy(function: object, names: tuple[str, ...]) -> bool:
    return (
        isinstance(function, Global)
        and function.name in names
        and function.module.partition(".")[0] == "numpy"
    )


def _described(call: Call) -> tuple[object, object, object, object] | None:
    """Shape, dtype, order and bytes."""
    if _is_numpy(call.callable, ("_reconstruct",)):
        state = call.states[-1] if call.states else None
        if isinstance(state, tuple) and len(state) in (4, 5):
            shape, dtype, turned, raw = state[-4:]
            return shape, dtype, "F" if turned in (True, 1) else "C", raw
    elif _is_numpy(call.callable, ("_frombuffer",)):
        args = call.args
        if isinstance(args, tuple) and len(args) in (4, 5):
            raw, dtype, shape, order = args[:4]
            return shape, dtype, args[4] if order == "K" and len(args) == 5 else order, raw
    return None


def _type(value: object) -> tuple[str, bool] | None:
    """Name of the type, and whether it is big-endian."""
    if not isinstance(value, Call) or not isinstance(value.args, tuple) or not value.args:
        return None
    code = value.args[0].decode("latin-1") if isinstance(value.args[0], bytes) else value.args[0]
    if not isinstance(code, str):
        return None
    order = code[:1] if code[:1] in ("<", ">", "=", "|") else ""
    dtype = _TYPES.get(code.removeprefix(order))
    state = value.states[-1] if value.states else None
    if isinstance(state, tuple) and len(state) > 1:
        order = state[1]
    return None if dtype is None else (dtype, order in (">", b">"))


def _extents(value: object, at: int) -> tuple[int, ...]:
    if isinstance(value, int):
        value = (value,)
    if isinstance(value, tuple) and len(value) <= 64:
        extents = tuple(one for one in value if type(one) is int and 0 <= one < 1 << 63)
        if len(extents) == len(value) and prod(extents) < 1 << 63:
            return extents
    raise FormatError("an array without a proper shape", offset=at)


def _layout(
    shape: tuple[int, ...], order: object, at: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and stride, in elements, of an array without holes.

    :param order: ``C``, ``F``, or the axes of an array in C's order, as they are then exchanged.
    """
    if order in ("F", b"F"):
        return shape, tuple(reversed(_steps(shape[::-1])))
    steps = _steps(shape)
    if order in ("C", b"C"):
        return shape, steps
    if isinstance(order, tuple) and sorted(map(_whole, order)) == list(range(len(shape))):
        return tuple(shape[axis] for axis in order), tuple(steps[axis] for axis in order)
    raise FormatError("an array in no known order", offset=at)


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _whole(value: object) -> int:
    return value if type(value) is int else -1


def _check_length(found: Array, at: int) -> None:
    content = found.content
    most = content.size if isinstance(content, Skipped) else len(content)
    # A letter of a skipped text takes one byte or two: the rest is checked when it is read.
    least = most // 2 if isinstance(content, Skipped) and content.is_text else most
    if not least <= found.nbytes <= most:
        raise FormatError(f"an array of {most:,} bytes, not {found.nbytes:,}", offset=at)
