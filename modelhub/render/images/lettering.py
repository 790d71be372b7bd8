"""Text on pictures: the bundled font, wrapped to a width, and nothing hidden or left blank.

The font is DejaVu Sans (Latin, Greek, Cyrillic, Arabic, Hebrew, mathematics). What it lacks (CJK,
emoji) and what would act instead of show (controls, bidi overrides) is drawn as an escape.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

FONT_FILE = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
_NO_CHARACTER = "\U0010ffff"
_LONGEST = 2_000
"""Characters of one text that are looked at; no label has room for more."""
_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@lru_cache(maxsize=32)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The bundled font, `size` pixels high.

    It is laid out by Pillow alone, so that a grid looks the same on every machine.
    """
    from PIL import ImageFont

    return ImageFont.truetype(FONT_FILE, size, layout_engine=ImageFont.Layout.BASIC)


def legible(text: str) -> str:
    """`text` with every character that cannot be shown as an escape; line breaks stay."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    composed = unicodedata.normalize("NFC", cut.replace("\r\n", "\n").replace("\t", " "))
    return "".join(one if one == "\n" else _shown(one) for one in composed)


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character) not in _ACTING and _has_glyph(character):
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _has_glyph(character: str) -> bool:
    font = font_of(20)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_CHARACTER))


@dataclass(frozen=True, slots=True)
class Lettering:
    """A text, made legible and broken into lines, and the room that it takes in pixels."""

    lines: tuple[str, ...]
    size: int
    width: int

    @property
    def line_height(self) -> int:
        """From one line to the next."""
        return round(self.size * 1.25)

    @property
    def height(self) -> int:
        """Of all lines; 0 where there is no text."""
        return len(self.lines) * self.line_height


def lettering(text: str, size: int, width: int, *, most_lines: int = 8) -> Lettering:
    """`text` in lines of at most `width` pixels, broken at blanks, else within a word.

    Where `most_lines` do not hold it, the last one ends in an ellipsis.
    """
    font = font_of(size)
    lines: list[str] = []
    for paragraph in legible(text).strip().split("\n"):
        lines += _wrapped(paragraph, font, width, most_lines + 1 - len(lines))
        if len(lines) > most_lines:
            lines = [*lines[: most_lines - 1], _ended(lines[most_lines - 1], font, width)]
            break
    if lines == [""]:
        lines = []
    widest = max((round(font.getlength(line)) for line in lines), default=0)
    return Lettering(tuple(lines), size, widest)


def write(
    draw: ImageDraw.ImageDraw, words: Lettering, place: tuple[int, int], ink: str = "black"
) -> None:
    """Draw it, `place` being the upper left corner in pixels."""
    for number, line in enumerate(words.lines):
        spot = (place[0], place[1] + number * words.line_height)
        draw.text(spot, line, fill=ink, font=font_of(words.size))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        rest = word
        longer = f"{line} {rest}" if line else rest
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while font.getlength(rest) > width and len(lines) < most:
            fitting = _fitting(rest, font, width)
            lines.append(rest[:fitting])
            rest = rest[fitting:]
        line = rest
        if len(lines) >= most:
            return lines[:most]
    return [*lines, line]


def _fitting(word: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many characters of `word` fit; at least one."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(word[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _ended(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
