"""How devices are named where one is asked for: ``cuda:1``, ``rocm``, ``mps``, ``xpu``, ``cpu``."""

from __future__ import annotations

import re

_NAME = re.compile(r"(cuda|rocm|mps|xpu|cpu)(?::(\d{1,3}))?")


def kind_and_index(name: str) -> tuple[str, int | None] | None:
    """What a name says, whatever its case; None where it is no device's.

    The index is None where the name has none, and any of that kind is meant.
    """
    found = _NAME.fullmatch(name.strip().lower())
    if found is None:
        return None
    return found[1], None if found[2] is None else int(found[2])


def listed(text: str | None) -> list[str]:
    """The names in a text that has commas between them, without the empty ones."""
    return [one for one in (piece.strip() for piece in (text or "").split(",")) if one]
