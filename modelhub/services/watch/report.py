"""What a watch tells while it runs, besides what happens to files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

from modelhub.services.index.report import Happening


class Watching(NamedTuple):
    """A root is watched from now on."""

    root: Path
    native: bool
    """By the system's notifications; else it is compared every so many seconds."""
    reason: str
    """Why this way, for people."""


class Lost(NamedTuple):
    """The folder of a root is gone; the root is watched again as soon as it is back."""

    root: Path


class Remark(NamedTuple):
    """Something else that the user should know."""

    text: str
    warning: bool = False


Told: TypeAlias = Happening | Watching | Lost | Remark
