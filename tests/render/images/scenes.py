"""Pictures to compare, the same on every machine: made of sines and remainders, not of chance."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def scene(height: int, width: int, shift: float = 0.0) -> NDArray[np.uint8]:
    import numpy as np

    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 127 + 100 * np.sin(x / 7 + shift) * np.cos(y / 11)
    green = 127 + 90 * np.sin((x + y) / 13 + shift * 2)
    blue = (x * 3 + y * 5) % 256
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


def noisy(picture: NDArray[np.uint8], strength: int) -> NDArray[np.uint8]:
    """Each number changed by at most `strength`."""
    import numpy as np

    y, x, channel = np.indices(picture.shape)
    noise = (x * 7919 + y * 104729 + channel * 1299709) % (2 * strength + 1) - strength
    changed: NDArray[np.uint8] = np.clip(picture.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return changed


def png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
