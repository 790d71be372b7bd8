"""What came of an index run, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Happened(StrEnum):
    """What can happen to a file."""

    INDEXED = "indexed"
    MOVED = "moved"
    BACK = "back"
    MISSING = "missing"
    FORGOTTEN = "forgotten"
    HASHED = "hashed"
    FAULTY = "faulty"
    UNSAFE = "unsafe"


class Happening(NamedTuple):
    """One thing that happened to one file; `detail` is where it was, what is wrong with it, or the
    verdict on it."""

    what: Happened
    path: Path
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Faulty:
    """A file that could not be read as a model, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A file that was read, and by the names in its pickles is ``suspicious`` or ``dangerous``."""

    path: Path
    verdict: str


@dataclass(frozen=True, slots=True)
class RootReport:
    """One root that was looked at."""

    path: Path
    files: int
    """Model files on disk, parts of models included."""
    skipped: str = ""
    """Why the root was left alone, and everything in it kept as it was known; else empty."""
    added: bool = False
    """Whether it has become a root by this run."""


@dataclass(slots=True)
class Tally:
    """Numbers of files."""

    unchanged: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    back: int = 0
    missing: int = 0
    reread: int = 0
    """Unchanged, and identified once more as the rules for it have improved."""
    forgotten: int = 0
    """On disk still, but kept out of the catalog now: ignored, or in a root of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What came of an index run."""

    roots: tuple[RootReport, ...]
    unchanged: int
    new: int
    changed: int
    moved: int
    back: int
    missing: int
    reread: int
    forgotten: int
    hashed: int = 0
    linked: int = 0
    """Of the hashed, those that are links to a content that had been hashed: not read again."""
    words: int = 0
    """Of the hashed, those of which the user's words in sidecars were imported."""
    unhashed: int = 0
    """Files that wait for their hash still."""
    suspicious: int = 0
    """Of the files that were read, those that a scan of their pickles calls so."""
    dangerous: int = 0
    unsafe: tuple[Unsafe, ...] = ()
    """Some of both, the dangerous first."""
    faults: tuple[Faulty, ...] = ()
    unreadable: tuple[Path, ...] = ()
    """Folders that could not be read; what is known below them was kept."""
    still_written: tuple[Path, ...] = ()
    """Files left for the next run."""
    seconds: float = 0.0
