"""A small picture in a terminal: two pixels a character cell, one above the other."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDEST = 48
_UPPER_HALF = "▀"


def preview_lines(png: bytes, *, width: int, height: int) -> list[Text]:
    """The picture in as many lines as it needs, at most 48 columns wide.

    :param width: of the room in columns; `height` in lines.
    :returns: nothing where there is no room for a picture, or none to show.
    """
    if width < 8 or height < 4:
        return []
    return list(_lines(png, min(width, _WIDEST), height))


@functools.lru_cache(maxsize=1)
def _lines(png: bytes, width: int, height: int) -> tuple[Text, ...]:
    picture = _fitted(png, width, 2 * height)
    if picture is None:
        return ()
    lines = []
    for upper in range(0, picture.height - 1, 2):
        line = Text(no_wrap=True, overflow="crop")
        for column in range(picture.width):
            above, below = (_colour(picture, column, upper + half) for half in (0, 1))
            line.append(_UPPER_HALF, Style(color=above, bgcolor=below))
        lines.append(line)
    return tuple(lines)


def _fitted(png: bytes, width: int, height: int) -> Image | None:
    try:
        import PIL.Image
    except ImportError:
        return None
    try:
        picture = PIL.Image.open(io.BytesIO(png), formats=("PNG",)).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, int(picture.width * scale)), max(2, int(picture.height * scale)))
    return picture.resize(size)


def _colour(picture: Image, column: int, row: int) -> Color:
    value = picture.getpixel((column, row))
    assert isinstance(value, tuple)
    red, green, blue = (int(part) for part in value[:3])
    return Color.from_rgb(red, green, blue)
