"""Numbers of one type made numbers of another, as torch does it, by numpy alone.

Rounding is to nearest, ties to even; what is too large for a type becomes infinity, and what is no
number stays none. ``F64`` goes through ``F32`` on its way to the halves, as in torch
(``c10/util/Half.h``: a half is made of a float). The types of one byte are those of
``c10/util/Float8_*.h``; they are only ever read.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

from modelhub.convert.halves import to_half
from modelhub.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Data: TypeAlias = bytes | bytearray | memoryview

LARGEST_FP16 = 65_504.0
"""The largest finite number of fp16."""
_TOO_LARGE_FOR_FP16 = 65_520.0
"""From here on, rounding gives infinity: half-way to what would come after the largest."""

_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
_BYTES = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"})


def can_cast(source: str, target: str) -> bool:
    """Whether :func:`cast` knows the way from one dtype of safetensors to another."""
    known = source in _NUMPY or source in _BYTES or source == "BF16"
    return source == target or (known and (target in _NUMPY or target == "BF16"))


def cast(data: Data, source: str, target: str) -> NDArray[Any]:
    """Little-endian numbers of a type, as the bits of another: ``view`` them to get bytes.

    :param data: whole numbers of `source`.
    :raises UsageError: there is no way between them.
    """
    return encode(decode(data, source), target)


def decode(data: Data, dtype: str) -> NDArray[Any]:
    """The numbers that little-endian bytes stand for; a view of them where numpy has the type.

    :raises UsageError: `dtype` is complex, packed, or unknown.
    """
    import numpy as np

    if dtype in _NUMPY:
        return np.frombuffer(data, _NUMPY[dtype])
    if dtype == "BF16":
        bits = np.frombuffer(data, "<u2").astype("<u4")
        bits <<= 16
        wide: NDArray[np.float32] = bits.view("<f4")
        return wide
    if dtype in _BYTES:
        found: NDArray[np.float32] = _all_bytes(dtype)[np.frombuffer(data, "u1")]
        return found
    raise UsageError(f"numbers of type {dtype} cannot be cast")


def encode(numbers: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Numbers, rounded to a type; those of ``BF16`` as ``<u2``, for which numpy has no type.

    :raises UsageError: no number is ever cast to `dtype`.
    """
    import numpy as np

    if dtype != "BF16" and dtype not in _NUMPY:
        raise UsageError(f"numbers cannot be cast to {dtype}")
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if dtype == "BF16":
            return _brain_bits(numbers.astype("<f4", copy=False))
        if dtype == "F16" and numbers.dtype.kind != "b":
            return to_half(numbers.astype("<f4", copy=False))
        return numbers.astype(_NUMPY[dtype], copy=False)


def _brain_bits(numbers: NDArray[np.float32]) -> NDArray[np.uint16]:
    import numpy as np

    from modelhub.formats.digests import Level, rounded

    return np.frombuffer(rounded(numbers.data, "F32", Level.BF16), "<u2")


def lost_to_fp16(numbers: NDArray[Any]) -> tuple[float, int, int]:
    """What a cast to fp16 makes of `numbers`, at the price of their largest and smallest.

    :returns: the largest magnitude of those that are finite and become infinity (0 where there
        are none), how many they are, and how many are not finite to begin with.
    """
    import numpy as np

    if numbers.dtype.kind == "b" or not numbers.size or numbers.dtype.itemsize == 1:
        return 0.0, 0, 0
    # Whatever is no number makes both comparisons false.
    if numbers.max() < _TOO_LARGE_FOR_FP16 and numbers.min() > -_TOO_LARGE_FOR_FP16:
        return 0.0, 0, 0
    sizes = np.abs(numbers.astype("<f8"))
    finite = np.isfinite(sizes)
    lost = sizes[finite & (sizes.astype("<f4") >= _TOO_LARGE_FOR_FP16)]
    return float(lost.max(initial=0.0)), len(lost), len(sizes) - int(finite.sum())


@functools.cache
def _all_bytes(dtype: str) -> NDArray[np.float32]:
    """The numbers that the 256 bytes stand for in an 8-bit type."""
    import numpy as np

    byte = np.arange(256)
    if dtype == "F8_E8M0":
        found = np.ldexp(1.0, byte - 127)
        found[0xFF] = np.nan
        return found.astype(np.float32)
    mantissa_bits, bias = {
        "F8_E4M3": (3, 7), "F8_E5M2": (2, 15), "F8_E4M3FNUZ": (3, 8), "F8_E5M2FNUZ": (2, 16),
    }[dtype]  # fmt: skip
    exponent = (byte & 0x7F) >> mantissa_bits
    mantissa = (byte & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    found = np.ldexp(mantissa + (exponent > 0), np.maximum(exponent, 1) - bias)
    if dtype == "F8_E4M3":
        found[[0x7F]] = np.nan
    elif dtype == "F8_E5M2":
        found[0x7C:0x80] = [np.inf, np.nan, np.nan, np.nan]
    found[0x80:] = -found[:0x80]
    if dtype.endswith("FNUZ"):
        found[0x80] = np.nan
    numbers: NDArray[np.float32] = found.astype("<f4")
    return numbers
