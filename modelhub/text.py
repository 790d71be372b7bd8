"""Text for people: sizes, times, and text from elsewhere made harmless before it is shown."""

from __future__ import annotations

import re
import unicodedata

# What can move the cursor, recolour the terminal or reorder a line: C0 and C1 controls, bidi marks
# and overrides, line and paragraph separators, lone surrogates (undecodable bytes of file names)
# and invisible tag characters.
_HARMFUL = (
    "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_DANGEROUS = re.compile(f"[{_HARMFUL}]")
_DANGEROUS_IN_LINES = re.compile(f"(?![\n\t])[{_HARMFUL}]")


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named:
        return named
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(text: object, *, lines: bool = False) -> str:
    """`text` with everything that could drive a terminal or fake a line shown as an escape.

    :param lines: keep line breaks and tabs, for descriptions shown as paragraphs.
    """
    pattern = _DANGEROUS_IN_LINES if lines else _DANGEROUS
    return pattern.sub(_escaped, str(text))


def json_safe(document: str) -> str:
    """A JSON document with those characters as JSON escapes: the same data, harmless on screen.

    In JSON they can only stand inside strings, the line breaks between values aside.
    """

    def escape(match: re.Match[str]) -> str:
        units = match.group().encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))

    return _DANGEROUS_IN_LINES.sub(escape, document)


def human_size(size: int | float | None) -> str:
    """Bytes as people read them, in binary units: ``1.99 GiB``; ``?`` where it is unknown."""
    if size is None:
        return "?"
    value = float(size)
    for name, digits in (("B", 0), ("KiB", 1), ("MiB", 1), ("GiB", 2)):
        # Rounded first: 1023.99 MiB is shown as 1.00 GiB, not as 1024.0 MiB.
        if abs(round(value, digits)) < 1024:
            return f"{value:.{digits}f} {name}"
        value /= 1024
    return f"{value:.2f} TiB"


def human_rate(bytes_per_second: float | None) -> str:
    """A speed: ``38.1 MiB/s``, or ``-`` where there is none yet."""
    return "-" if bytes_per_second is None else f"{human_size(bytes_per_second)}/s"


def human_duration(seconds: float | None) -> str:
    """A span of time in its two greatest units: ``42 s``, ``3 m 05 s``, ``2 h 10 m``, ``4 d``."""
    if seconds is None or seconds != seconds or seconds == float("inf"):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def human_count(number: int | None) -> str:
    """A count with its digits in groups of three: ``1,234,567``."""
    return "?" if number is None else f"{number:,}"


def plural(number: int, word: str, words: str | None = None) -> str:
    """``1 file``, ``2 files``; `words` where adding an s is not enough."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def cell_width(text: str) -> int:
    """Terminal columns that `text` takes: wide characters count two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def shorten(text: str, width: int, *, middle: bool = False) -> str:
    """`text` cut to `width` columns, an ellipsis where something was left out.

    :param middle: cut in the middle, so that the extension of a file name stays.
    """
    if cell_width(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    if not middle:
        return _take(text, width - 1) + "…"
    tail_width = (width - 1) // 2
    tail = _take(text[::-1], tail_width)[::-1]
    return _take(text, width - 1 - cell_width(tail)) + "…" + tail


def _take(text: str, width: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _character_width(character)
        if used > width:
            return text[:index]
    return text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled with spaces to `width` columns."""
    fill = " " * max(0, width - cell_width(text))
    return fill + text if right else text + fill
