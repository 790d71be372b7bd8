"""The queue of one process: its jobs are done by threads of this process, and end with it.

What the jobs made stays: a download that was stopped with the process goes on from its partial
file when it is asked for again.
"""

from __future__ import annotations

import logging
import platform
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from modelhub.errors import Cancelled, ModelhubError, WrongJobState
from modelhub.progress import Event, Stepped
from modelhub.services.jobs.ledger import Entry, Ledger
from modelhub.services.jobs.model import (
    Job,
    JobKind,
    JobListener,
    JobProgress,
    JobRequest,
    JobState,
)
from modelhub.services.jobs.progress import ProgressFold
from modelhub.services.jobs.pulse import Pulse

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.render.pool import RenderPool

_log = logging.getLogger(__name__)
_OTHERS = "others"
_LANES = {
    JobKind.DOWNLOAD: "download",
    JobKind.CONVERT: "convert",
    JobKind.RENDER: "render",
    JobKind.HASH: "hash",
}
CLOSING = 30.0
"""Seconds that :meth:`LocalJobs.close` waits for jobs to stop: each looks for it several times a
second, but a disk may hold one of them up."""


class LocalJobs:
    """A :class:`JobQueue` of threads. To be closed, or used with ``with``.

    :param config: gives the settings in effect; asked for each job.
    :param key: gives the Civitai API key, or None; asked for each job.
    """

    def __init__(self, config: Callable[[], Config], key: Callable[[], str | None]) -> None:
        self._config, self._key = config, key
        self._ledger = Ledger()
        self._lock = threading.RLock()
        self._telling = threading.RLock()
        self._listeners: list[JobListener] = []
        self._threads: dict[str, threading.Thread] = {}
        self._pulse = Pulse()
        self._pool: RenderPool | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # Asking

    def enqueue(self, request: JobRequest) -> Job:
        """See :meth:`JobQueue.enqueue`.

        :raises UsageError: the arguments are none that this kind of job takes.
        :raises WrongJobState: the queue was closed.
        """
        from modelhub.services.jobs.work import check_arguments

        check_arguments(request.kind, request.arguments)
        with self._lock:
            if self._closed:
                raise WrongJobState("no job is begun any more: modelhub is about to end", hint="")
            entry, new = self._ledger.add(request)
            ended = self._ledger.end_dependents() if new else []
        if new:
            self._tell(entry, *ended)
            self._start_ready()
        return entry.job

    def get(self, job_id: str) -> Job:
        """See :meth:`JobQueue.get`."""
        with self._lock:
            return self._ledger.find(job_id).job

    def list(
        self, states: Collection[JobState] = (), kinds: Collection[JobKind] = (), limit: int = 1000
    ) -> Sequence[Job]:
        """See :meth:`JobQueue.list`."""
        with self._lock:
            return [entry.job for entry in self._ledger.ordered(states, kinds)[:limit]]

    def counts(self) -> Mapping[JobState, int]:
        """See :meth:`JobQueue.counts`."""
        with self._lock:
            return self._ledger.counts()

    def preview(self, job_id: str) -> bytes:
        """The picture of a render as far as it is: a small PNG, or nothing.

        :raises NoSuchJob: there is no such job.
        """
        with self._lock:
            return self._ledger.find(job_id).preview

    # Steering

    def cancel(self, job_id: str) -> Job:
        """See :meth:`JobQueue.cancel`.

        :raises WrongJobState: it has ended otherwise.
        """
        return self._stop(job_id, JobState.CANCELLED)

    def pause(self, job_id: str) -> Job:
        """See :meth:`JobQueue.pause`.

        :raises WrongJobState: it has ended.
        """
        return self._stop(job_id, JobState.PAUSED)

    def _stop(self, job_id: str, state: JobState) -> Job:
        with self._lock:
            entry = self._ledger.find(job_id)
            now = entry.job.state
            if now is state:
                return entry.job
            if now.ended:
                raise WrongJobState(f"job {entry.job.id} ({entry.job.title}) is {now} already")
            entry.wanted = state
            if now is JobState.RUNNING:
                entry.cancel.set()
                return entry.job
            changed = [entry, *self._left(entry, state)]
        self._tell(*changed)
        return entry.job

    def resume(self, job_id: str) -> Job:
        """See :meth:`JobQueue.resume`.

        :raises WrongJobState: it is not paused.
        """
        with self._lock:
            entry = self._ledger.find(job_id)
            state = entry.job.state
            if state is JobState.RUNNING and entry.wanted is JobState.PAUSED:
                # Its thread is on its way out: it waits for another turn as soon as it is there.
                entry.wanted = JobState.WAITING
            elif state is JobState.PAUSED:
                entry.become(state=JobState.WAITING)
            elif state not in (JobState.WAITING, JobState.RUNNING):
                raise WrongJobState(
                    f"job {entry.job.id} ({entry.job.title}) is {state}, not paused"
                )
        return self._on_its_way(entry)

    def retry(self, job_id: str) -> Job:
        """See :meth:`JobQueue.retry`; the same work that was asked for again meanwhile is given.

        :raises WrongJobState: it is neither failed nor cancelled.
        """
        with self._lock:
            entry = self._ledger.find(job_id)
            state = entry.job.state
            if state not in (JobState.FAILED, JobState.CANCELLED):
                raise WrongJobState(
                    f"job {entry.job.id} ({entry.job.title}) is {state}: nothing to do again"
                )
            same = self._ledger.open_with_key(entry.key)
            if same is not None:
                return same.job
            entry.become(
                state=JobState.WAITING, error="", hint="", ended=None, progress=JobProgress()
            )
            self._ledger.end_dependents()
        return self._on_its_way(entry)

    def prioritise(self, job_id: str, priority: int) -> Job:
        """See :meth:`JobQueue.prioritise`.

        :raises WrongJobState: it runs, or has ended.
        """
        with self._lock:
            entry = self._ledger.find(job_id)
            state = entry.job.state
            if state not in (JobState.WAITING, JobState.PAUSED):
                raise WrongJobState(
                    f"job {entry.job.id} ({entry.job.title}) is {state}: it has had its turn"
                )
            entry.become(priority=priority)
        return self._on_its_way(entry)

    def clear(self, states: Collection[JobState] = ()) -> int:
        """See :meth:`JobQueue.clear`.

        :raises WrongJobState: one of the states is not that of an ended job.
        """
        with self._lock:
            number = self._ledger.clear(states)
            ended = self._ledger.end_dependents()
        self._tell(*ended)
        return number

    def _on_its_way(self, entry: Entry) -> Job:
        self._tell(entry)
        self._start_ready()
        return entry.job

    # Telling

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """See :meth:`JobQueue.subscribe`; one that raises is told of in the log."""
        with self._telling:
            self._listeners.append(listener)

        def end() -> None:
            with self._telling:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def _tell(self, *entries: Entry) -> None:
        """Tell of jobs as they are now: never of an older state after a newer one."""
        with self._telling:
            for entry in entries:
                with self._lock:
                    job = entry.job
                for listener in tuple(self._listeners):
                    try:
                        listener(job)
                    except Exception:
                        _log.exception("a listener failed on job %s", job.id)

    # Running

    def _start_ready(self) -> None:
        with self._lock:
            if self._closed:
                return
            limits = self._limits()
            busy = Counter(self._lane_of(one) for one in self._threads)
            begun = []
            for entry in self._ledger.ready():
                lane = _LANES.get(entry.job.kind, _OTHERS)
                if busy[lane] < limits.get(lane, 1):
                    busy[lane] += 1
                    self._begin(entry)
                    begun.append(entry)
        self._tell(*begun)

    def _limits(self) -> Mapping[str, int]:
        """How many run beside each other; of each kind that is not named, one."""
        wanted = self._config().jobs
        return {
            _LANES[JobKind.DOWNLOAD]: wanted.downloads,
            _LANES[JobKind.CONVERT]: wanted.conversions,
            _LANES[JobKind.RENDER]: wanted.renders,
        }

    def _lane_of(self, job_id: str) -> str:
        return _LANES.get(self._ledger.find(job_id).job.kind, _OTHERS)

    def _begin(self, entry: Entry) -> None:
        entry.cancel, entry.wanted, entry.preview = threading.Event(), None, b""
        entry.become(
            state=JobState.RUNNING,
            started=datetime.now(UTC),
            attempts=entry.job.attempts + 1,
            host=platform.node(),
        )
        thread = threading.Thread(
            target=self._run, args=(entry,), name=f"job {entry.job.kind}", daemon=True
        )
        self._threads[entry.job.id] = thread
        thread.start()

    def _run(self, entry: Entry) -> None:
        fold = ProgressFold(partial(self._progressed, entry))
        self._pulse.add(entry.job.id, fold)
        end = self._done(entry, fold)
        self._pulse.drop(entry.job.id)
        with self._lock:
            del self._threads[entry.job.id]
            wanted = entry.wanted if end["state"] is JobState.CANCELLED else None
            changed = [entry, *self._left(entry, wanted, **self._seen(fold), **end)]
            self._ledger.forget_oldest()
        self._tell(*changed)
        self._start_ready()

    def _done(self, entry: Entry, fold: ProgressFold) -> dict[str, Any]:
        """Do the job; what it becomes by that."""
        from modelhub.services.jobs.work import do_job

        def listen(event: Event) -> None:
            if isinstance(event, Stepped) and event.preview:
                entry.preview = event.preview
            fold(event)

        job = entry.job
        try:
            result = do_job(
                job.kind,
                job.arguments,
                config=self._config(),
                key=self._key(),
                listener=listen,
                cancel=entry.cancel,
                pool=self._render_pool() if job.kind is JobKind.RENDER else None,
            )
        except Cancelled:
            return {"state": JobState.CANCELLED}
        except ModelhubError as error:
            if entry.cancel.is_set():
                return {"state": JobState.CANCELLED}
            return {"state": JobState.FAILED, "error": error.message, "hint": error.hint}
        except Exception as error:
            _log.exception("job %s failed", job.id)
            text = f"unexpected {type(error).__name__}: {error}"
            return {"state": JobState.FAILED, "error": text, "hint": ""}
        return {"state": JobState.DONE, "result": result}

    @staticmethod
    def _seen(fold: ProgressFold) -> dict[str, Any]:
        return {"progress": fold.progress, "log": fold.log}

    def _left(self, entry: Entry, wanted: JobState | None, **end: Any) -> Sequence[Entry]:
        """Have a job become what is wanted of it, else what came of it; who ends with it."""
        state = wanted or end["state"]
        values = {**end, "state": state, "ended": datetime.now(UTC) if state.ended else None}
        entry.become(**values)
        entry.wanted, entry.preview = None, b""
        return self._ledger.end_dependents() if state.ended else ()

    def _progressed(self, entry: Entry, progress: JobProgress, log: tuple[str, ...]) -> None:
        with self._lock:
            if entry.job.state is not JobState.RUNNING:
                return
            entry.become(progress=progress, log=log)
        self._tell(entry)

    def _render_pool(self) -> RenderPool:
        with self._lock:
            if self._pool is None:
                from modelhub.services.render.workers import workers_of_all_gpus

                self._pool = workers_of_all_gpus(self._config())
            return self._pool

    # The end

    def close(self) -> None:
        """Stop all jobs, and wait until they have."""
        with self._lock:
            self._closed = True
            threads = list(self._threads.values())
            for job_id in self._threads:
                entry = self._ledger.find(job_id)
                entry.wanted = JobState.CANCELLED
                entry.cancel.set()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(CLOSING)
        self._pulse.close()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
