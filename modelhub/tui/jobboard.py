"""The jobs as the screens see them: what a queue tells from any thread, taken in a few times a
second.

A queue may tell of ten thousand changes a second; the board keeps the latest of each job, and the
application looks at it by a timer, so that no flood of events reaches the thread that draws.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelhub.services.jobs.model import Job, JobState
from modelhub.text import clean

if TYPE_CHECKING:
    from modelhub.services.jobs.model import JobQueue

MOST_JOBS = 2_000
"""Jobs that the board remembers; the oldest ended ones are forgotten first."""


def ending_of(job: Job) -> str:
    """How a job ended, in a line or two."""
    title = clean(job.title)
    if job.state is JobState.FAILED:
        hint = f"\n{clean(job.hint)}" if job.hint else ""
        return f"✗ {title}: {clean(job.error)}{hint}"
    return f"✓ {title}" if job.state is JobState.DONE else f"{title}: {job.state}"


class JobBoard:
    """The latest state of every job. :meth:`watch` and the listener run in any thread, the rest in
    the one that draws."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._told: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._unsubscribe: Callable[[], None] | None = None

    def watch(self, queue: JobQueue) -> None:
        """Follow `queue` from now on; what it holds already is taken in."""
        self._unsubscribe = queue.subscribe(self._hear)
        for job in queue.list():
            with self._lock:
                self._told.setdefault(job.id, job)

    def close(self) -> None:
        """Follow no longer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _hear(self, job: Job) -> None:
        with self._lock:
            self._told[job.id] = job

    def take(self) -> Sequence[Job]:
        """What changed since the last call; it is in :attr:`jobs` from now on."""
        if not self._told:
            return ()
        with self._lock:
            told, self._told = self._told, {}
        self.jobs.update(told)
        if len(self.jobs) > MOST_JOBS:
            self._forget_oldest()
        return tuple(told.values())

    def forget_ended(self) -> None:
        """Leave out all jobs that have ended: they were cleared."""
        self.jobs = {job.id: job for job in self.jobs.values() if not job.state.ended}

    def _forget_oldest(self) -> None:
        ended = sorted(
            (job for job in self.jobs.values() if job.state.ended),
            key=lambda job: job.ended or job.created,
        )
        for job in ended[: len(self.jobs) - MOST_JOBS]:
            del self.jobs[job.id]

    def running(self) -> list[Job]:
        """The jobs that run now, the one begun last first."""
        running = [job for job in self.jobs.values() if job.state is JobState.RUNNING]
        return sorted(running, key=lambda job: job.started or job.created, reverse=True)

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs of the board are in each state."""
        found: dict[JobState, int] = {}
        for job in self.jobs.values():
            found[job.state] = found.get(job.state, 0) + 1
        return found
