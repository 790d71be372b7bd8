"""`.modelhubignore`: what a user keeps out of the catalog, in gitignore syntax, at any level.

As git does it (`gitignore(5)`): a pattern holds for the folder of its file and all below; of
several that fit, the last one of the innermost file decides; what is inside an ignored folder
cannot be taken back in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LARGEST = 1 << 20
"""Bytes of an ignore file that are read; no one writes more by hand."""
_MOST_STARS = 8
"""Of one pattern: each star multiplies the time that matching a hostile name can take."""
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in one folder: its own, over those of the folders around it.

    Paths are relative to the root, as :mod:`os` gives them, folders with a slash at their end.
    """

    layers: tuple[tuple[int, GitIgnoreSpec], ...] = ()
    """The innermost last; each with the length of the path of its folder."""
    refused: list[str] = field(default_factory=list)
    """Lines that are no patterns, as notices for the user."""

    def __bool__(self) -> bool:
        return bool(self.layers)

    def with_lines(self, lines: Iterable[str], folder: str, source: str) -> IgnoreRules:
        """These rules, and the `lines` of the ignore file `source` in `folder` over them."""
        from pathspec import GitIgnoreSpec

        good = []
        for number, line in enumerate(lines, 1):
            problem = _problem(line)
            if problem:
                self.refused.append(f"{source}, line {number}: {problem}")
            else:
                good.append(line)
        spec = GitIgnoreSpec.from_lines(good)
        return IgnoreRules((*self.layers, (len(folder), spec)), self.refused)

    def ignores(self, path: str) -> bool:
        """Whether `path` itself fits; the folders around it were asked about before."""
        for start, spec in reversed(self.layers):
            verdict = spec.check_file(path[start:]).include
            if verdict is not None:
                return verdict
        return False


def _problem(line: str) -> str:
    """Why a line is not taken, or empty."""
    from pathspec import GitIgnoreSpec

    if len(line) > _LONGEST:
        return f"longer than {_LONGEST} characters"
    if line.replace("**", "*").count("*") > _MOST_STARS:
        return f"more than {_MOST_STARS} stars"
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):  # a range that goes backwards is for `re` to find
        return "not a gitignore pattern"
    return ""


def read_lines(descriptor: int) -> list[str]:
    """The lines of an open ignore file, at most :data:`LARGEST` bytes of it.

    :raises OSError: it cannot be read.
    """
    with open(descriptor, "rb", closefd=True) as file:
        data = file.read(LARGEST)
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").splitlines()
