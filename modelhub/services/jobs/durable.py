"""The queue that outlives its processes: jobs in the library's jobs database, done by its daemon.

Enqueueing, listing and stopping go to the database directly, whether the daemon runs or not, and
import nothing of its engine. The daemon is woken over its socket, so that a job starts at once.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from modelhub.errors import DaemonFailed, DaemonNotRunning, ModelhubError
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.model import Job, JobKind, JobListener, JobRequest, JobState
from modelhub.services.jobs.store import JobDatabase, JobRequests, open_jobs

if TYPE_CHECKING:
    from modelhub.config import Config

_LOOK_EVERY = 0.3


class DurableQueue:
    """A :class:`JobQueue` on a jobs database. To be closed, or used with ``with``."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database
        self._requests = JobRequests(database)
        self.contact = Contact(database.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back all connections; jobs go on without it."""
        self._database.close()

    def enqueue(self, request: JobRequest) -> Job:
        """See :meth:`JobQueue.enqueue`."""
        return self.enqueue_all([request])[0]

    def enqueue_all(self, requests: Sequence[JobRequest]) -> Sequence[Job]:
        """Enqueue several, all or none, and wake the daemon once."""
        jobs = self._requests.add_all(requests)
        self.contact.wake()
        return jobs

    def get(self, job_id: str) -> Job:
        """See :meth:`JobQueue.get`."""
        return self._requests.get(job_id)

    def list(
        self, states: Collection[JobState] = (), kinds: Collection[JobKind] = (), limit: int = 1000
    ) -> Sequence[Job]:
        """See :meth:`JobQueue.list`."""
        return self._requests.list(states, kinds, limit)

    def counts(self) -> Mapping[JobState, int]:
        """See :meth:`JobQueue.counts`."""
        return self._requests.counts()

    def preview(self, job_id: str) -> bytes:
        """The picture of a render as far as it is: a small PNG; nothing where this host's daemon
        does not make it."""
        try:
            answer = self.contact.ask("preview", patience=1.0, job=job_id)
            return base64.b64decode(str(answer.get("png", "")))
        except (DaemonNotRunning, DaemonFailed, ValueError):
            return b""

    def cancel(self, job_id: str) -> Job:
        """See :meth:`JobQueue.cancel`."""
        return self._told(self._requests.cancel(job_id, attended=self.contact.attended()))

    def pause(self, job_id: str) -> Job:
        """See :meth:`JobQueue.pause`."""
        return self._told(self._requests.pause(job_id, attended=self.contact.attended()))

    def resume(self, job_id: str) -> Job:
        """See :meth:`JobQueue.resume`."""
        return self._told(self._requests.resume(job_id))

    def retry(self, job_id: str) -> Job:
        """See :meth:`JobQueue.retry`."""
        return self._told(self._requests.retry(job_id))

    def prioritise(self, job_id: str, priority: int) -> Job:
        """See :meth:`JobQueue.prioritise`."""
        return self._told(self._requests.prioritise(job_id, priority))

    def clear(self, states: Collection[JobState] = ()) -> int:
        """See :meth:`JobQueue.clear`."""
        return self._requests.clear(states)

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """See :meth:`JobQueue.subscribe`."""
        watcher = _Watcher(self._requests, listener)
        watcher.start()
        return watcher.stop

    def _told(self, job: Job) -> Job:
        self.contact.wake()
        return job


def open_queue(config: Config) -> DurableQueue:
    """The queue of the library that the settings name, made where there is none.

    :raises CatalogError: its database cannot be used.
    """
    return DurableQueue(open_jobs(config))


class _Watcher:
    """A thread that looks for changed jobs, and tells of each."""

    def __init__(self, requests: JobRequests, listener: JobListener) -> None:
        self._requests, self._listener = requests, listener
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs watcher", daemon=True)
        self._since = 0.0

    def start(self) -> None:
        """Begin with what changes from now on."""
        self._since = self._requests.last_change()
        self._thread.start()

    def stop(self) -> None:
        """Tell no more."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY):
            try:
                changed, self._since = self._requests.changed_since(self._since)
            except ModelhubError:
                # Locked or away for a moment: what changed is found the next time.
                continue
            for job in changed:
                if self._stopped.is_set():
                    return
                self._listener(job)
