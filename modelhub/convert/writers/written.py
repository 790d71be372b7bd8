"""What writers are asked, what they tell meanwhile, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event, Lock
from typing import TypeAlias

from modelhub.errors import Cancelled
from modelhub.formats.hashes import ContentHashes


class Phase(StrEnum):
    """What a writer is at."""

    SEARCH = "search"
    """Reading for values that are too large for fp16."""
    WRITE = "write"
    VERIFY = "verify"


Progress: TypeAlias = Callable[[Phase, int, int], None]
"""Called from any thread, one at a time: the phase, bytes of the result done, and in all."""


@dataclass(frozen=True, slots=True)
class Overflowing:
    """A tensor with finite values that fp16 would make infinite.

    :param largest: the largest magnitude of them.
    :param count: how many.
    """

    name: str
    largest: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A result that lies under its name, complete, on disk and verified.

    :param hashes: those asked for, of the bytes that were read back and compared; None for a
        folder.
    :param kept: tensors that were kept in a wider type than planned.
    :param not_finite: tensors cast to fp16 that have infinite or undefined values in the source.
    :param parts: the files of weights of a folder, each for itself.
    :param seconds_writing: until all was on disk; `seconds_syncing` of them were spent waiting for
        the disk, after the last byte had been written.
    """

    path: Path
    nbytes: int
    hashes: ContentHashes | None
    kept: tuple[Overflowing, ...] = ()
    not_finite: tuple[str, ...] = ()
    parts: tuple[Written, ...] = ()
    seconds_writing: float
    seconds_syncing: float
    seconds_verifying: float

    @property
    def sha256(self) -> str:
        """Of the file, in upper-case hex; empty for a folder."""
        return self.hashes.sha256 if self.hashes is not None else ""


@dataclass(slots=True)
class Monitor:
    """Counts what several threads get done, tells it, and ends them when the user wants it.

    :param unchanged: raises where the source is no longer what it was.
    """

    target: Path
    progress: Progress | None = None
    cancel: Event | None = None
    unchanged: Callable[[], None] = lambda: None
    phase: Phase = Phase.WRITE
    total: int = 0
    done: int = 0
    _lock: Lock = field(default_factory=Lock)

    def enter(self, phase: Phase, total: int) -> None:
        """Begin a phase of `total` bytes."""
        self.phase, self.total, self.done = phase, total, 0
        self.advance(0)

    def advance(self, count: int) -> None:
        """So many bytes more are through.

        :raises Cancelled: the user stopped it.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled(
                f"stopped while making {self.target}",
                hint="nothing was left behind; run the same command again to start over",
            )
        with self._lock:
            self.done += count
            if self.progress is not None:
                self.progress(self.phase, self.done, self.total)
