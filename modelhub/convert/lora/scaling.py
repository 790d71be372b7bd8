"""The scale of a LoRA multiplied into its factors, for forms that have no alpha.

A scale is taken apart into a power of two, which changes no digit of a number, and a rest between
1/2 and 1. The power is shared out between both factors, so that neither gets numbers too small
for fp16; the rest goes to the first one. So an alpha of a half, a quarter ... of the rank is
multiplied in exactly, and every other one to the precision of the file.
"""

from __future__ import annotations

from math import frexp, ldexp
from typing import TYPE_CHECKING

from modelhub.convert.computed import Computed, numbers_of
from modelhub.convert.values import Values

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers


def shares(scale: float) -> tuple[float, float]:
    """What the factors `down` and `up` are multiplied by; their product is `scale`."""
    if scale == 1:
        return 1.0, 1.0
    rest, exponent = frexp(scale)
    if abs(rest) == 0.5:
        rest, exponent = rest * 2, exponent - 1
    half = exponent // 2
    return ldexp(rest, half), ldexp(1.0, exponent - half)


def is_exact(scale: float) -> bool:
    """Whether a multiplication by `scale` changes no digits (numbers too small for fp16 aside)."""
    return scale == 0 or abs(frexp(scale)[0]) == 0.5


def scaled(values: Values, factor: float) -> Values:
    """`values` times `factor`: themselves where that is 1, else computed when they are read."""
    if factor == 1:
        return values

    def times() -> Numbers:
        numbers = numbers_of(values)
        numbers *= factor
        return numbers

    return Computed(values.shape, times)
