"""Names out of files as they stand in a sentence: they may be of any length, and hold anything."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 120
_MOST = 3


def shown(name: str, longest: int = _LONGEST) -> str:
    """A name without what a terminal would obey, cut off where it is too long."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name[: longest + 1])
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    told = ", ".join(shown(name) for name in names[:_MOST])
    return f"{told} and {len(names) - _MOST:,} more" if len(names) > _MOST else told
