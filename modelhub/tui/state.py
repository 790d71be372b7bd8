"""What the terminal UI remembers from one run to the next, in a small file of its own."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
from msgspec import Struct, field

from modelhub.config.paths import data_folder

LARGEST_FILE = 1 << 20


class Remembered(Struct, kw_only=True):
    """Where the user left off. Everything has a default: a damaged file is as good as none."""

    section: str = "library"
    theme: str = ""
    query: str = ""
    sort: str = "name"
    columns: list[str] = field(default_factory=list)
    """Empty: the usual ones."""
    facets: bool = True
    details: bool = True
    searches: dict[str, str] = field(default_factory=dict)
    """Saved searches: the query by its name."""
    guided: bool = False
    """Whether the first-run guide was finished or left."""


class StateFile:
    """The file that keeps it.

    :param path: None: `tui.json` in modelhub's data folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "tui.json"

    def load(self) -> Remembered:
        """What was remembered; the defaults where there is nothing that can be read."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(LARGEST_FILE), type=Remembered)
        except (OSError, ValueError, msgspec.DecodeError):
            return Remembered()

    def save(self, remembered: Remembered) -> None:
        """Keep it. A disk that refuses costs the memory of this run only, and is not told of."""
        from modelhub.whole_files import temporary_beside

        temporary = temporary_beside(self.path)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(msgspec.json.format(msgspec.json.encode(remembered)))
                temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)
