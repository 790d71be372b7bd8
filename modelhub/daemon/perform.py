"""One run of a job, from its beginning to what is kept of its end."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from modelhub.daemon.gate import Gate
from modelhub.daemon.retrying import may_pass, pause_before
from modelhub.daemon.running import Reason, Running
from modelhub.errors import ModelhubError
from modelhub.progress import Event, Stepped
from modelhub.services.jobs.model import Job, JobProgress
from modelhub.services.jobs.progress import ProgressFold
from modelhub.services.jobs.pulse import Pulse
from modelhub.services.jobs.store.working import Begun, JobWork, Seen

if TYPE_CHECKING:
    from modelhub.daemon.means import Means

_log = logging.getLogger(__name__)
_KEEP_TRIES = 30
"""How often the end of a job is tried to be kept, a second apart, while its database is locked."""


class Performer:
    """Does the runs that the engine begins. Any thread may use it.

    :param means: settings, key and render processes.
    :param most: gives how many jobs of a kind may be at work; None: any number.
    :param leave: called when a run has done its work, and before its end is kept.
    :param told: called with the kind of a job whenever one has ended.
    :param ended: called with its id after that.
    """

    def __init__(
        self,
        work: JobWork,
        running: Running,
        means: Means,
        *,
        most: Callable[[str], int | None],
        leave: Callable[[str, int], None],
        told: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        self._work, self._running, self._means = work, running, means
        self._leave, self._told, self._ended = leave, told, ended
        self._gate = Gate(most)
        self._pulse = Pulse()
        self.runs: Counter[str] = Counter()
        """How many were brought to an end, by kind."""
        self.previews: dict[str, bytes] = {}
        """Of each picture that is being made, what there is of it: a small PNG, by its job."""

    def perform(self, job_id: str, generation: int, kind: str) -> None:
        """Do a run, if it is its turn still. What goes wrong is kept with the job.

        :param kind: of the job; empty: it is looked up.
        :raises CatalogError: its database could not be written to for long; it was not begun, and
            is handed over anew.
        """
        kind = kind or self._work.kind_of(job_id)
        with self._gate.passed(kind) as may_begin:
            if may_begin:
                self._begin(job_id, generation)

    def _begin(self, job_id: str, generation: int) -> None:
        begun = self._work.begin(job_id, generation)
        if begun is None:
            return
        job = begun.job
        cancel = self._running.begin(job_id, job.kind, generation)
        if cancel is None:
            self._work.parked(job_id, generation)
            return
        try:
            _log.info("job begins", extra={"job": job_id, "kind": job.kind, "title": job.title})
            self._do(begun, cancel)
        finally:
            self.previews.pop(job_id, None)
            self._running.end(job_id)
            self.runs[job.kind] += 1
            self._told(job.kind)
            self._ended(job_id)

    def admit_no_more(self) -> None:
        """Let no run begin that has not begun."""
        self._gate.close()

    def close(self) -> None:
        """End its thread; no run may be under way."""
        self._pulse.close()

    def _do(self, begun: Begun, cancel: threading.Event) -> None:
        from modelhub.services.jobs.work import do_job

        job = begun.job
        fold = ProgressFold(
            lambda progress, log: self._keep_progress(begun, progress, log), pulsed=True
        )

        def listen(event: Event) -> None:
            if isinstance(event, Stepped) and event.preview:
                self.previews[job.id] = event.preview
            fold(event)

        self._pulse.add(job.id, fold)
        keep: Callable[[Seen], bool]
        try:
            result = do_job(
                job.kind,
                job.arguments,
                config=self._means.config,
                key=self._means.key(),
                listener=listen,
                cancel=cancel,
                pool=self._means.pool(job.kind),
                shared=self._means.shared,
            )
        except Exception as error:
            keep = partial(self._ended_badly, begun, error)
        else:
            keep = partial(self._work.done, job.id, begun.generation, result)
            _log.info("job done", extra={"job": job.id, "kind": job.kind, "title": job.title})
        finally:
            self._pulse.drop(job.id)
            fold.close()
            self._leave(job.id, begun.generation)
        self._kept(lambda: keep(Seen(fold.progress, fold.log)))

    def _keep_progress(self, begun: Begun, progress: JobProgress, log: tuple[str, ...]) -> None:
        try:
            self._work.keep_progress(begun.job.id, begun.generation, progress, log)
        except ModelhubError as error:
            # Of a moment only: the next one is kept again.
            _log.warning("progress not kept", extra={"job": begun.job.id, "why": error.message})

    def _ended_badly(self, begun: Begun, error: Exception, seen: Seen) -> bool:
        job, generation = begun.job, begun.generation
        reason = self._running.reason(job.id)
        if reason is not None:
            _log.info("job stopped", extra={"job": job.id, "why": reason})
            return self._stopped(job, generation, reason, seen)
        text, hint = _words(error)
        failures = begun.failures + 1
        about = {"job": job.id, "kind": job.kind, "title": job.title, "why": text}
        if not isinstance(error, ModelhubError):
            _log.error("job met a bug", extra=about, exc_info=error)
        if not may_pass(error) or failures >= self._means.config.jobs.attempts:
            _log.warning("job failed", extra=about)
            if failures > 1:
                text = f"{text} (tried {failures} times)"
            return self._work.failed(job.id, generation, text, hint, seen)
        seconds = pause_before(failures, self._means.config.jobs.backoff)
        _log.warning("job is tried again", extra={**about, "seconds": seconds})
        return self._work.try_later(
            job.id, generation, text, hint, seconds=seconds, failures=failures, seen=seen
        )

    def _stopped(self, job: Job, generation: int, reason: Reason, seen: Seen) -> bool:
        if reason is Reason.PAUSE:
            return self._work.paused(job.id, generation, seen)
        if reason is Reason.CANCEL:
            return self._work.cancelled(job.id, generation, seen)
        if reason is Reason.PARK:
            return self._work.parked(job.id, generation, seen)
        return False

    def _kept(self, keep: Callable[[], bool]) -> None:
        """Keep how a job ended, however long its database is locked or its disk full."""
        for _ in range(_KEEP_TRIES):
            try:
                keep()
            except ModelhubError as error:
                _log.error("the end of a job is not kept yet", extra={"why": error.message})
                time.sleep(1.0)
            else:
                return


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, ModelhubError):
        return error.message, error.hint
    return f"unexpected {type(error).__name__}: {error}", "`modelhub daemon logs` has more"
