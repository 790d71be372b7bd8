"""Text for people, as the commands know it: :mod:`modelhub.text`."""

from __future__ import annotations

from modelhub.text import (
    cell_width,
    clean,
    human_count,
    human_duration,
    human_rate,
    human_size,
    json_safe,
    pad,
    plural,
    shorten,
)

__all__ = [
    "cell_width",
    "clean",
    "human_count",
    "human_duration",
    "human_rate",
    "human_size",
    "json_safe",
    "pad",
    "plural",
    "shorten",
]
