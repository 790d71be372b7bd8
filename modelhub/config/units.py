"""Sizes and rates as people write them: ``20MB/s``, ``1GiB``, ``500k``."""

from __future__ import annotations

import re
from fractions import Fraction

EXPECTED_SIZE = 'a size such as "20MB", "1GiB" or "500k", or a number of bytes'
LARGEST = 1 << 60

_SIZE = re.compile(
    r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([kmgtp]?)(i?)(b?)(?:/s|ps)?\s*", re.IGNORECASE
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_bytes(text: str) -> int:
    """The bytes (a second) that `text` means.

    ``k``, ``M``, ``G``, ``T`` and ``P`` count in thousands, ``Ki``, ``Mi`` ... in 1024s; ``B``
    and ``/s`` may follow; a bare number is bytes. Case does not matter.

    :raises ValueError: `text` is none of these, or more than an exbibyte.
    """
    match = _SIZE.fullmatch(text)
    if not match or (match[3] and not match[2]):
        raise ValueError(f"expected {EXPECTED_SIZE}")
    base = 1024 if match[3] else 1000
    size = Fraction(match[1]) * base ** _POWERS[match[2].lower()]
    if size > LARGEST:
        raise ValueError("more than an exbibyte")
    return int(size)


def written_bytes(size: int) -> str:
    """`size` as :func:`parse_bytes` reads it, exactly: the largest unit that divides it.

    >>> written_bytes(1 << 30)
    '1GiB'
    """
    for base, infix in ((1024, "i"), (1000, "")):
        for unit in "PTGMK":
            factor: int = base ** _POWERS[unit.lower()]
            if size >= factor and size % factor == 0:
                return f"{size // factor}{unit if infix or unit != 'K' else 'k'}{infix}B"
    return str(size)
