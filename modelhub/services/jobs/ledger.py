"""The jobs of one process, in memory: who waits, who may start, what becomes of those behind.

Nothing here knows of threads: whoever uses a :class:`Ledger` holds a lock of its own.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from modelhub.errors import NoSuchJob, WrongJobState
from modelhub.services.jobs.model import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.store.requests import key_of

MOST_ENDED = 1_000
"""Ended jobs that are remembered; the oldest are forgotten first."""
_ID_BYTES = 5
_SHORTEST_ID = 3
_WHAT: dict[JobState | None, str] = {
    JobState.FAILED: "failed",
    JobState.CANCELLED: "was cancelled",
    None: "is not known any more",
}
_GROUPS: dict[JobState, int] = {JobState.RUNNING: 0, JobState.WAITING: 1, JobState.PAUSED: 2}


@dataclass(slots=True)
class Entry:
    """A job with what its queue knows of it.

    :ivar number: how many were asked for before it.
    :ivar cancel: set to stop the run that goes on; each run has its own.
    :ivar wanted: what it becomes once its run has stopped; None: what comes of it.
    :ivar preview: of a picture that is being made, the last one that was sent: a PNG.
    """

    job: Job
    key: str
    number: int
    cancel: threading.Event = field(default_factory=threading.Event)
    wanted: JobState | None = None
    preview: bytes = b""

    def become(self, **values: Any) -> Job:
        """Change the job."""
        self.job = replace(self.job, **values)
        return self.job


class Ledger:
    """All jobs that were asked for, and not cleared since."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._asked = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def add(self, request: JobRequest) -> tuple[Entry, bool]:
        """The job for `request`, and whether it is new: the same work may be there already.

        :raises NoSuchJob: it is to come after one that is not there.
        """
        key = request.key or key_of(request.kind, request.arguments)
        known = self.open_with_key(key)
        if known is not None:
            return known, False
        job = Job(
            id=self._free_id(),
            kind=request.kind,
            title=request.title,
            state=JobState.WAITING,
            arguments=dict(request.arguments),
            priority=request.priority,
            after=tuple(self.find(one).job.id for one in request.after),
            created=datetime.now(UTC),
        )
        entry = Entry(job, key, self._asked)
        self._asked += 1
        self._entries[job.id] = entry
        return entry, True

    def open_with_key(self, key: str) -> Entry | None:
        """The job of that key that has not ended."""
        return next((one for one in self if one.key == key and not one.job.state.ended), None)

    def _free_id(self) -> str:
        while (found := secrets.token_hex(_ID_BYTES)) in self._entries:
            pass
        return found

    def find(self, job_id: str) -> Entry:
        """One job, by its id or an unambiguous beginning of it.

        :raises NoSuchJob: there is none, or several begin so.
        """
        if job_id in self._entries:
            return self._entries[job_id]
        found = [one for one in self if one.job.id.startswith(job_id)]
        if len(job_id) >= _SHORTEST_ID and len(found) == 1:
            return found[0]
        if len(job_id) >= _SHORTEST_ID and found:
            names = ", ".join(one.job.id for one in found[:3])
            raise NoSuchJob(
                f"several jobs begin with {job_id}: {names} ...", hint="give more of it"
            )
        raise NoSuchJob(f"there is no job {job_id[:40]}")

    def ordered(self, states: Collection[JobState], kinds: Collection[JobKind]) -> list[Entry]:
        """In the order of :meth:`JobQueue.list`, of these states and kinds; none means all."""
        chosen = [
            one
            for one in self
            if (not states or one.job.state in states) and (not kinds or one.job.kind in kinds)
        ]
        return sorted(chosen, key=_place)

    def counts(self) -> Mapping[JobState, int]:
        """How many are in each state."""
        found = Counter(one.job.state for one in self)
        return {state: found[state] for state in JobState}

    def ready(self) -> list[Entry]:
        """The jobs that wait for nothing but their turn, in its order."""
        return [one for one in self.ordered((JobState.WAITING,), ()) if self._is_released(one)]

    def _is_released(self, entry: Entry) -> bool:
        return all(self._state_of(one) is JobState.DONE for one in entry.job.after)

    def _state_of(self, job_id: str) -> JobState | None:
        entry = self._entries.get(job_id)
        return entry.job.state if entry is not None else None

    def end_dependents(self) -> list[Entry]:
        """End the waiting jobs of which one that they come after failed, was cancelled or is gone,
        and those that come after these."""
        ended: list[Entry] = []
        while True:
            found = [one for one in self if self._blocked_by(one) is not None]
            if not found:
                return ended
            for entry in found:
                self._end_behind(entry)
            ended += found

    def _blocked_by(self, entry: Entry) -> str | None:
        if entry.job.state not in (JobState.WAITING, JobState.PAUSED):
            return None
        hopeless = (JobState.FAILED, JobState.CANCELLED, None)
        return next((one for one in entry.job.after if self._state_of(one) in hopeless), None)

    def _end_behind(self, entry: Entry) -> None:
        before = self._blocked_by(entry)
        if before is None:
            return
        state = self._state_of(before)
        entry.become(
            state=JobState.CANCELLED if state is JobState.CANCELLED else JobState.FAILED,
            error=f"job {before}, which it comes after, {_WHAT[state]}",
            hint="do that one again first, then this one",
            ended=datetime.now(UTC),
        )

    def clear(self, states: Collection[JobState]) -> int:
        """Forget ended jobs, of these states or all; how many.

        :raises WrongJobState: one of the states is not that of an ended job.
        """
        wrong = next((state for state in states if not state.ended), None)
        if wrong is not None:
            raise WrongJobState(f"jobs that are {wrong} are not cleared: cancel them first")
        ended = [one.job for one in self if one.job.state.ended]
        gone = [job.id for job in ended if not states or job.state in states]
        for job_id in gone:
            del self._entries[job_id]
        return len(gone)

    def forget_oldest(self) -> None:
        """Keep memory bounded: of very many ended jobs, the latest stay."""
        ended = [one for one in self if one.job.state.ended]
        for entry in sorted(ended, key=_place)[MOST_ENDED:]:
            del self._entries[entry.job.id]


def _place(entry: Entry) -> tuple[Any, ...]:
    """Where a job stands in a list."""
    job = entry.job
    group = _GROUPS.get(job.state, 3)
    if job.state is JobState.RUNNING:
        return group, (job.started or job.created), entry.number
    if job.state.ended:
        return group, -(job.ended or job.created).timestamp(), -entry.number
    return group, job.priority, entry.number
