"""The jobs that run in this process, and how each is stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """Why a running job is stopped."""

    PAUSE = "pause"
    CANCEL = "cancel"
    GONE = "gone"
    """Its row says that it is no more, or is somebody else's."""
    PARK = "park"
    """The daemon ends; the next one goes on with it."""


@dataclass(slots=True)
class _Run:
    kind: str
    generation: int
    cancel: threading.Event = field(default_factory=threading.Event)
    reason: Reason | None = None


class Running:
    """The running jobs by their ids. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._closing = False
        self._last_end: float | None = None
        self._empty = threading.Condition(self._lock)

    def begin(self, job_id: str, kind: str, generation: int = 0) -> threading.Event | None:
        """The event that stops it; None where nothing may begin any more, or it runs already."""
        with self._lock:
            if self._closing or job_id in self._runs:
                return None
            run = self._runs[job_id] = _Run(kind, generation)
            return run.cancel

    def end(self, job_id: str) -> None:
        """It runs no more."""
        with self._lock:
            del self._runs[job_id]
            self._last_end = time.monotonic()
            self._empty.notify_all()

    def stop(self, job_id: str, reason: Reason) -> None:
        """Stop a job, if it runs; what was asked for first counts."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None:
                run.reason = run.reason or reason
                run.cancel.set()

    def reason(self, job_id: str) -> Reason | None:
        """Why a running job was stopped; None: it was not."""
        with self._lock:
            run = self._runs.get(job_id)
            return None if run is None else run.reason

    def ids(self) -> list[str]:
        """The ids of all."""
        with self._lock:
            return list(self._runs)

    def quiet_since(self, seconds: float) -> bool:
        """Whether the last run ended so long ago, and none has begun; True once for each such
        pause, so that somebody can tidy up in it."""
        with self._lock:
            if self._runs or self._last_end is None:
                return False
            quiet = time.monotonic() - self._last_end >= seconds
            if quiet:
                self._last_end = None
            return quiet

    def generations(self) -> dict[str, int]:
        """Which run of each job it is."""
        with self._lock:
            return {job_id: run.generation for job_id, run in self._runs.items()}

    def by_kind(self) -> dict[str, int]:
        """How many of each kind."""
        with self._lock:
            found: dict[str, int] = {}
            for run in self._runs.values():
                found[run.kind] = found.get(run.kind, 0) + 1
            return found

    def close(self, patience: float) -> bool:
        """Stop all, let none begin, and wait for them; whether all have ended in time."""
        with self._lock:
            self._closing = True
            for run in self._runs.values():
                run.reason = run.reason or Reason.PARK
                run.cancel.set()
            return self._empty.wait_for(lambda: not self._runs, patience)
