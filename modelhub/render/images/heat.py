"""Differences too small to be seen, drawn: amplified, coloured, with their colours below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.render.images.pictures import png_of, require_pillow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_COLOURS = (
    (0, 0, 0),
    (60, 15, 110),
    (160, 40, 110),
    (235, 95, 50),
    (252, 190, 40),
    (255, 255, 230),
)
"""From no difference to the largest: as dark as the difference is small, in print too."""
_MOST = 64
"""Times: a difference of 1 is then drawn as 64 of 255, and noise stays noise."""


def amplification(largest: int) -> int:
    """How many times differences are drawn, so that the largest is bright: 1, 2, 4, ... 64."""
    times = 1
    while times < _MOST and times * 2 * largest <= 255:
        times *= 2
    return times


def heat_map_with_bar(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of `pixels` (height x width, differences of 255), with a bar of the colours below.

    What they mean is not written into it: a small picture is enlarged, and its letters with it.
    """
    heat = _coloured(pixels)
    import numpy as np
    from PIL import Image

    height, width = pixels.shape
    bar = max(4, width // 40)
    whole = Image.new("RGB", (width, height + bar + 2), "white")
    whole.paste(heat, (0, 0))
    scale = np.linspace(0, 255, width).astype(np.uint8)
    whole.paste(Image.fromarray(np.repeat(colours()[scale][None], bar, axis=0)), (0, height + 2))
    return png_of(whole)


def scale_of(pixels: NDArray[np.uint8]) -> str:
    """What the colours mean: ``black is 0, white is 3 of 255 (×64)``."""
    times = amplification(int(pixels.max()))
    return f"black is 0, white is {255 // times} of 255 (×{times})"


def _coloured(pixels: NDArray[np.uint8]) -> Image.Image:
    require_pillow()
    import numpy as np
    from PIL import Image

    times = amplification(int(pixels.max()))
    return Image.fromarray(colours()[np.minimum(pixels.astype(np.uint16) * times, 255)])


def colours() -> NDArray[np.uint8]:
    """The colour of each amplified difference: 256 x 3."""
    import numpy as np

    places = np.linspace(0, 255, len(_COLOURS))
    channels = [
        np.interp(np.arange(256), places, [colour[channel] for colour in _COLOURS])
        for channel in range(3)
    ]
    return np.stack(channels, axis=1).round().astype(np.uint8)
