"""How much two pictures differ, in figures, so that "no visible difference" is one.

PSNR is over all three channels. SSIM is that of Wang, Bovik, Sheikh and Simoncelli ("Image quality
assessment: from error visibility to structural similarity", IEEE Transactions on Image Processing
13, 2004): Gaussian window of 11 x 11 with a sigma of 1.5, K1 0.01, K2 0.03, on each of R, G and B,
their mean taken; the same numbers as scikit-image's with these parameters.

Where the limits come from: observers could not tell compressed pictures from the original ones at
an SSIM of 0.92 to 0.96 (Flynn, Ward, Abich and Poole, "Image quality assessment using the SSIM and
the just noticeable difference paradigm", 2013); we ask for 0.98. A PSNR of 40 dB is an error of
2.55 of 255 on average, at the border of visibly lossless in subjective tests. Both are means and
would overlook a small spot, so that the worst tile of 16 x 16 pixels counts too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from modelhub.errors import UsageError
from modelhub.render.images.pictures import pixels_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PEAK = 255.0
_TILE = 16
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_ROWS_AT_ONCE = 128


class Verdict(StrEnum):
    """What the figures mean to the eye."""

    IDENTICAL = "identical"
    INVISIBLE = "no visible difference"
    """At least 40 dB and 0.98, and 30 dB in the worst tile."""
    SLIGHT = "a slight difference"
    """At least 30 dB and 0.95."""
    VISIBLE = "a visible difference"
    OTHER = "another picture"
    """An SSIM below 0.5."""


@dataclass(frozen=True)
class Difference:
    """Two pictures of the same size, compared.

    :param psnr: in dB; infinity for equal pictures.
    :param ssim: 1 for equal pictures; may fall below 0.
    :param max_difference: of one channel of one pixel, of 255; `mean_difference` the same.
    :param worst_tile_psnr: of the 16 x 16 pixels that differ most.
    :param pixels: how much each pixel differs, in its channel that differs most, of 255:
        height x width.
    """

    psnr: float
    ssim: float
    max_difference: int
    mean_difference: float
    worst_tile_psnr: float
    pixels: NDArray[np.uint8]

    @property
    def verdict(self) -> Verdict:
        """What the figures mean to the eye."""
        if self.max_difference == 0:
            return Verdict.IDENTICAL
        if self.psnr >= 40 and self.ssim >= 0.98 and self.worst_tile_psnr >= 30:
            return Verdict.INVISIBLE
        if self.psnr >= 30 and self.ssim >= 0.95:
            return Verdict.SLIGHT
        return Verdict.OTHER if self.ssim < 0.5 else Verdict.VISIBLE

    @property
    def sentence(self) -> str:
        """``no visible difference (PSNR 52.1 dB, SSIM 0.9991, at most 3 of 255)``."""
        if self.verdict is Verdict.IDENTICAL:
            return str(self.verdict)
        # Rounded down: 0.99996 is not 1.
        ssim = math.floor(self.ssim * 10_000) / 10_000
        figures = f"PSNR {self.psnr:.1f} dB, SSIM {ssim:.4f}, at most {self.max_difference} of 255"
        return f"{self.verdict} ({figures})"

    @cached_property
    def picture(self) -> bytes:
        """The differences, amplified, as a heat map with its colours below: a PNG."""
        from modelhub.render.images.heat import heat_map_with_bar

        return heat_map_with_bar(self.pixels)

    @property
    def scale(self) -> str:
        """What the colours of the picture mean: ``black is 0, white is 3 of 255 (×64)``."""
        from modelhub.render.images.heat import scale_of

        return scale_of(self.pixels)


def compare(one: bytes, other: bytes) -> Difference:
    """The difference of two pictures (PNG files) of the same size.

    :raises UsageError: they differ in size.
    :raises FormatError: one is no picture.
    """
    return difference_of(pixels_of(one), pixels_of(other))


def difference_of(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Difference:
    """The same for pictures as height x width x 3 bytes.

    :raises UsageError: they differ in size.
    """
    import numpy as np

    if one.shape != other.shape:
        sizes = " and ".join(f"{each.shape[1]}x{each.shape[0]}" for each in (one, other))
        raise UsageError(f"pictures of {sizes} cannot be compared: their sizes differ")
    apart = np.maximum(one, other) - np.minimum(one, other)
    if not apart.any():
        return Difference(math.inf, 1.0, 0, 0.0, math.inf, apart.max(axis=2))
    squares = np.square(apart, dtype=np.uint16).mean(axis=2, dtype=np.float64)
    return Difference(
        psnr=_decibels(float(squares.mean())),
        ssim=structural_similarity(one, other),
        max_difference=int(apart.max()),
        mean_difference=float(apart.mean()),
        worst_tile_psnr=_decibels(_worst_tile(squares)),
        pixels=apart.max(axis=2),
    )


def structural_similarity(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The SSIM of two pictures of height x width x 3 bytes, the mean over pixels and channels.

    Pictures narrower than the window of 11 pixels are judged with the largest that fits.
    """
    import numpy as np

    size = min(_WINDOW, *(side - (side + 1) % 2 for side in one.shape[:2]))
    places = np.arange(size) - size // 2
    window = np.exp(-0.5 * np.square(places / _SIGMA))
    window /= window.sum()
    total, count = 0.0, 0
    height = one.shape[0] - size + 1
    for start in range(0, height, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, height) + size - 1)
        for channel in range(one.shape[2]):
            similar = _similarities(one[rows, :, channel], other[rows, :, channel], window)
            total += float(similar.sum())
            count += similar.size
    return total / count


def _similarities(
    one: NDArray[np.uint8], other: NDArray[np.uint8], window: NDArray[np.float64]
) -> NDArray[np.float64]:
    import numpy as np

    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _smoothed(x, window), _smoothed(y, window)
    variance_x = _smoothed(x * x, window) - mean_x * mean_x
    variance_y = _smoothed(y * y, window) - mean_y * mean_y
    covariance = _smoothed(x * y, window) - mean_x * mean_y
    above = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    below = (mean_x * mean_x + mean_y * mean_y + _C1) * (variance_x + variance_y + _C2)
    similar: NDArray[np.float64] = above / below
    return similar


def _smoothed(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted means around each pixel that has the whole window around it."""
    import numpy as np

    size = len(window)
    height, width = values.shape[0] - size + 1, values.shape[1] - size + 1
    down = np.zeros((height, values.shape[1]))
    for place, weight in enumerate(window):
        down += weight * values[place : place + height]
    across = np.zeros((height, width))
    for place, weight in enumerate(window):
        across += weight * down[:, place : place + width]
    return across


def _worst_tile(squares: NDArray[np.float64]) -> float:
    """The largest mean of any tile; those at the right and lower edge may be smaller."""
    import numpy as np

    height, width = squares.shape
    rows, columns = np.arange(0, height, _TILE), np.arange(0, width, _TILE)
    sums = np.add.reduceat(np.add.reduceat(squares, rows, axis=0), columns, axis=1)
    tall = np.minimum(_TILE, height - rows)
    wide = np.minimum(_TILE, width - columns)
    return float((sums / np.outer(tall, wide)).max())


def _decibels(mean_square: float) -> float:
    return 10 * math.log10(_PEAK**2 / mean_square)
