"""Folders of other tools on this machine, looked for where people keep them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelhub.errors import ModelhubError
from modelhub.placement.adoption import Detected, detect
from modelhub.placement.adoption.model import Tool

_PARENTS = (
    "",
    *("AI", "ai", "apps", "Apps", "Applications", "src", "git", "code", "projects", "Projects"),
    *("Documents", "Downloads", "sd", "SD", "StabilityMatrix/Packages", ".local/share"),
    "StabilityMatrix/Data/Packages",
)
"""Below the home folder."""
_ELSEWHERE = ("/opt", "/srv", "/data", "/workspace", "/mnt", "/media")
_NAMES = ("comfyui", "webui", "stable-diffusion", "stable_diffusion", "forge", "invoke", "sd-")
"""What the names of their folders hold, in lower case."""
MOST_NAMES = 500
"""Names that are looked at in one folder."""


def find_tools(
    home: Path | None = None, elsewhere: Sequence[str] = _ELSEWHERE
) -> Iterator[Detected]:
    """The tools that are found, each once; nothing is read but names, a few levels deep.

    :param home: instead of the user's home folder.
    :param elsewhere: folders outside of it in which tools and their disks are looked for.
    """
    seen: set[Path] = set()
    for candidate in _candidates(home or Path.home(), elsewhere):
        true = Path(os.path.realpath(candidate))
        if true in seen:
            continue
        seen.add(true)
        try:
            found = detect(candidate)
        except ModelhubError:
            continue
        places = tuple(place for place in found.places if place.folder.is_dir())
        if found.tool is not Tool.PLAIN and places:
            yield found


def _candidates(home: Path, elsewhere: Sequence[str]) -> Iterator[Path]:
    for parent in _PARENTS:
        yield from _named(home / parent)
    for place in map(Path, elsewhere):
        yield from _named(place)
        for disk in _folders(place):
            yield from _named(disk)


def _named(folder: Path) -> Iterator[Path]:
    for path in _folders(folder):
        if any(name in path.name.lower() for name in _NAMES):
            yield path


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = []
            for number, entry in enumerate(entries):
                if number >= MOST_NAMES:
                    break
                if entry.is_dir() and not entry.name.startswith("."):
                    found.append(folder / entry.name)
            return sorted(found)
    except OSError:
        return []
