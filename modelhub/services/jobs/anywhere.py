"""The jobs of a library as a screen shows them: those of the daemon, and those of this process.

Where a daemon runs, it gets what is asked for; where none does, this process does it. A daemon
may come and go meanwhile: what it has is seen and steered all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from modelhub.errors import NoSuchJob
from modelhub.services.jobs.durable import DurableQueue, open_queue
from modelhub.services.jobs.local import LocalJobs
from modelhub.services.jobs.model import Job, JobKind, JobListener, JobQueue, JobRequest, JobState

if TYPE_CHECKING:
    from modelhub.config import Config

_GROUPS: dict[JobState, int] = {JobState.RUNNING: 0, JobState.WAITING: 1, JobState.PAUSED: 2}


class JobsAnywhere:
    """A :class:`JobQueue` over both. To be closed, or used with ``with``.

    :param config: gives the settings in effect.
    :param key: gives the Civitai API key, or None.
    :raises CatalogError: the jobs database cannot be used.
    """

    def __init__(self, config: Callable[[], Config], key: Callable[[], str | None]) -> None:
        self.here = LocalJobs(config, key)
        self.durable: DurableQueue = open_queue(config())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the jobs of this process; those of the daemon go on."""
        self.here.close()
        self.durable.close()

    @property
    def daemon_runs(self) -> bool:
        """Whether a daemon is there to do jobs."""
        return self.durable.contact.attended()

    @property
    def stranded(self) -> int:
        """How many jobs wait for a daemon while none runs."""
        if self.daemon_runs:
            return 0
        counts = self.durable.counts()
        return counts[JobState.WAITING] + counts[JobState.RUNNING]

    def is_here(self, job_id: str) -> bool:
        """Whether this process does that job, or did."""
        try:
            self.here.get(job_id)
        except NoSuchJob:
            return False
        return True

    def _home(self, job_id: str) -> JobQueue:
        return self.here if self.is_here(job_id) else self.durable

    def enqueue(self, request: JobRequest) -> Job:
        """See :meth:`JobQueue.enqueue`.

        :raises UsageError: the arguments are none that this kind of job takes.
        """
        from modelhub.services.jobs.work import check_arguments

        check_arguments(request.kind, request.arguments)
        home: JobQueue = self.durable if self.daemon_runs else self.here
        return home.enqueue(request)

    def get(self, job_id: str) -> Job:
        """See :meth:`JobQueue.get`."""
        return self._home(job_id).get(job_id)

    def list(
        self, states: Collection[JobState] = (), kinds: Collection[JobKind] = (), limit: int = 1000
    ) -> Sequence[Job]:
        """See :meth:`JobQueue.list`."""
        both = [
            *self.here.list(states, kinds, limit),
            *self.durable.list(states, kinds, limit),
        ]
        return sorted(both, key=_place)[:limit]

    def counts(self) -> Mapping[JobState, int]:
        """See :meth:`JobQueue.counts`."""
        here, there = self.here.counts(), self.durable.counts()
        return {state: here[state] + there[state] for state in JobState}

    def preview(self, job_id: str) -> bytes:
        """The picture of a render as far as it is: a small PNG, or nothing."""
        home = self.here if self.is_here(job_id) else self.durable
        return home.preview(job_id)

    def cancel(self, job_id: str) -> Job:
        """See :meth:`JobQueue.cancel`."""
        return self._home(job_id).cancel(job_id)

    def pause(self, job_id: str) -> Job:
        """See :meth:`JobQueue.pause`."""
        return self._home(job_id).pause(job_id)

    def resume(self, job_id: str) -> Job:
        """See :meth:`JobQueue.resume`."""
        return self._home(job_id).resume(job_id)

    def retry(self, job_id: str) -> Job:
        """See :meth:`JobQueue.retry`."""
        return self._home(job_id).retry(job_id)

    def prioritise(self, job_id: str, priority: int) -> Job:
        """See :meth:`JobQueue.prioritise`."""
        return self._home(job_id).prioritise(job_id, priority)

    def clear(self, states: Collection[JobState] = ()) -> int:
        """See :meth:`JobQueue.clear`."""
        return self.here.clear(states) + self.durable.clear(states)

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """See :meth:`JobQueue.subscribe`."""
        ends = [self.here.subscribe(listener), self.durable.subscribe(listener)]

        def end() -> None:
            for one in ends:
                one()

        return end


def _place(job: Job) -> tuple[Any, ...]:
    """Where a job stands in a list: see :meth:`JobQueue.list`."""
    if job.state.ended:
        return 3, -(job.ended or job.created).timestamp()
    if job.state is JobState.RUNNING:
        return 0, (job.started or job.created).timestamp()
    return _GROUPS[job.state], job.priority, job.created.timestamp()
