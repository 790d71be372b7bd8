"""``position_ids``: whole numbers that casts and merges have turned into others.

CLIP numbers the places of its words 0, 1, 2, ... in a buffer of 64-bit integers
(huggingface/transformers ``modeling_clip.py``, ``CLIPTextEmbeddings``). A file that was cast as a
whole has them as floats, one that was merged has values like 74.98 among them, which a program
that cuts off the fraction reads as another place.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelhub.convert.casts import decode
from modelhub.convert.values import Values
from modelhub.convert.views import Counted

MOST_PLACES = 1 << 14
"""No text encoder has more; a larger tensor is left as it is."""

_ROUNDED = frozenset({"F64", "F32", "F16", "BF16", "I32", "I16", "I8", "U64", "U32", "U16", "U8"})
"""Types that hold positions, if less exactly; truth values and fp8 do not."""


class Positions(Values):
    """Positions of another type, as 64-bit integers.

    Numbers are rounded to the nearest. Where they cannot be positions any more (truth values, fp8,
    NaN, or one beyond their count), they are counted anew.

    :param damaged: shape ``(n,)`` or ``(1, n)``, n at most :data:`MOST_PLACES`.
    """

    def __init__(self, damaged: Values) -> None:
        self._damaged = damaged
        self.dtype = "I64"
        self.shape = damaged.shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, in one piece."""
        import numpy as np

        count = self.shape[-1]
        if self._damaged.dtype in _ROUNDED:
            data = b"".join(bytes(piece) for piece in self._damaged.pieces())
            nearest = np.rint(decode(data, self._damaged.dtype).astype("f8"))
            # Of NaN neither holds.
            if ((nearest >= 0) & (nearest < count)).all():
                yield nearest.astype("<i8").tobytes()
                return
        yield from Counted(self.shape).pieces()


def are_damaged(name: str, values: Values) -> bool:
    """Whether these are positions of a type that they should not have."""
    shape = values.shape
    return (
        (name == "position_ids" or name.endswith(".position_ids"))
        and values.dtype != "I64"
        and (len(shape) == 1 or (len(shape) == 2 and shape[0] == 1))
        and 0 < shape[-1] <= MOST_PLACES
    )
