"""What a job is: asked for once, done at some time, seen from anywhere.

A job is plain data, so that a queue may keep it in a database, show it to another process and
start it again after a crash. What runs it is :mod:`modelhub.services.jobs.work`; where it waits is
a :class:`JobQueue`, of which there are two: the threads of one process, and the daemon's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from modelhub.progress import Stage


class JobKind(StrEnum):
    """Which service does it; each kind has a queue with a limit of its own."""

    DOWNLOAD = "download"
    INDEX = "index"
    HASH = "hash"
    MATCH = "match"
    VERIFY = "verify"
    CONVERT = "convert"
    RENDER = "render"
    UPDATES = "updates"


class JobState(StrEnum):
    """How far it is."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job that somebody wants done.

    :param arguments: what the service needs, as plain JSON values; see
        :mod:`modelhub.services.jobs.work` for the names of each kind.
    :param title: a line for the list of jobs: a reference, a file's name.
    :param key: two jobs with the same key are the same work: while one has not ended, asking
        again gives that one. Empty: derived from kind and arguments.
    :param priority: lower goes first; 0 is usual.
    :param after: ids of the jobs that must be done before this one starts. If one of them fails
        or is cancelled, so does this one.
    """

    kind: JobKind
    arguments: Mapping[str, Any]
    title: str
    key: str = ""
    priority: int = 0
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a running job is; kept to a few changes a second.

    :param name: what is worked on now: a file's name.
    :param done: bytes, or steps of pictures, of `total` (None: unknown), of this stage.
    :param speed: a second, of the same unit; 0: unknown.
    :param text: the last notice, in a line.
    """

    name: str = ""
    stage: Stage | None = None
    done: int = 0
    total: int | None = None
    speed: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is at this moment; times are UTC.

    :param attempts: how often it was begun.
    :param result: what came of it, as plain values: paths, counts.
    :param error: in a sentence, why it failed; `hint` says what to do about it.
    :param log: the last notices, oldest first.
    :param host: the machine that runs or ran it; empty before.
    """

    id: str
    kind: JobKind
    title: str
    state: JobState
    arguments: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    after: tuple[str, ...] = ()
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0
    progress: JobProgress = JobProgress()
    result: Mapping[str, Any] | None = None
    error: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()
    host: str = ""


JobListener = Callable[[Job], None]


class JobQueue(Protocol):
    """Where jobs wait, run, and are remembered. Every method may be called from any thread.

    :raises NoSuchJob: from each method that takes an `id`, where there is none.
    """

    def enqueue(self, request: JobRequest) -> Job:
        """Ask for a job; the one that does the same work already, where there is one."""

    def get(self, job_id: str) -> Job:
        """One job; an unambiguous beginning of its id will do."""

    def list(
        self, states: Collection[JobState] = (), kinds: Collection[JobKind] = (), limit: int = 1000
    ) -> Sequence[Job]:
        """Jobs, running ones first, then waiting ones in the order in which they will start, then
        ended ones, newest first; of these states and kinds, none meaning all."""

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""

    def cancel(self, job_id: str) -> Job:
        """Stop it within a second, or never start it; what it made so far stays resumable."""

    def pause(self, job_id: str) -> Job:
        """Stop it for now; :meth:`resume` goes on where it was."""

    def resume(self, job_id: str) -> Job:
        """Let a paused job go on."""

    def retry(self, job_id: str) -> Job:
        """Do a failed or cancelled job again."""

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Change the priority of a job that waits."""

    def clear(self, states: Collection[JobState] = ()) -> int:
        """Forget ended jobs, of these states or all; how many."""

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """Call `listener`, from any thread, whenever a job changes, a few times a second at most
        for each; what is returned ends that."""
