"""The progress events of a service, folded into how far its job is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from modelhub.progress import (
    Advanced,
    Event,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    Stepped,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)
from modelhub.services.jobs.model import JobProgress

EVERY = 0.3
"""Seconds between two changes that are told."""
LOG_LINES = 100
_SPAN = 5.0
"""Seconds over which a speed is taken."""

Tell = Callable[[JobProgress, tuple[str, ...]], None]


@dataclass(slots=True)
class _Task:
    """One line of work: a job has one, or one for each of its files or pictures."""

    name: str = ""
    stage: Stage | None = None
    done: int = 0
    total: int | None = None
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))
    """When how much was through, in this stage and this run."""

    def enter(self, stage: Stage, total: int | None) -> None:
        self.stage, self.done, self.total = stage, 0, total
        self.marks.clear()

    def advance(self, now: float, done: int, total: int | None) -> None:
        if done < self.done:
            self.marks.clear()
        self.done = done
        self.total = self.total if total is None else total
        if not self.marks or now - self.marks[-1][0] >= _SPAN / 50:
            self.marks.append((now, done))

    def speed(self, now: float) -> float:
        """Of the last few seconds, a second."""
        while len(self.marks) > 2 and now - self.marks[1][0] > _SPAN:
            self.marks.popleft()
        if not self.marks:
            return 0.0
        began, before = self.marks[0]
        return (self.done - before) / (now - began) if now > began else 0.0


class ProgressFold:
    """A listener that keeps how far a job is, and tells it a few times a second.

    Of several tasks the one that something happened to last is shown.

    What comes too soon after the last call is told a little later, also when nothing follows it:
    by a timer, or by whoever calls :meth:`beat` now and then (:class:`.pulse.Pulse`).

    :param tell: called with the progress and the log's lines, from any thread, one call at a time.
    :param every: seconds between two calls at least.
    :param pulsed: somebody calls :meth:`beat` now and then, and the beginning of a job, which may
        be its end as well, is not told by itself.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
        pulsed: bool = False,
    ) -> None:
        self._tell, self._every, self._clock, self._pulsed = tell, every, clock, pulsed
        self._lock = threading.Lock()
        self._tasks: dict[str, _Task] = {}
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._progress = JobProgress()
        self._told_at = clock() if pulsed else float("-inf")
        self._changed = False
        self._later: threading.Timer | None = None
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        with self._lock:
            now = self._clock()
            self._take(event, now)
            self._changed = True
            left = self._every - (now - self._told_at)
            if left <= 0:
                self._tell_now(now)
            elif self._later is None and not self._pulsed:
                self._later = threading.Timer(left, self.flush)
                self._later.daemon = True
                self._later.start()

    def flush(self) -> None:
        """Tell what was held back, if anything was; to be called once the job has ended."""
        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            if self._changed:
                self._tell_now(self._clock())

    def beat(self) -> None:
        """Tell what was held back, if it was for long enough."""
        with self._lock:
            now = self._clock()
            if self._changed and now - self._told_at >= self._every:
                self._tell_now(now)

    def close(self) -> None:
        """Tell no more, of what was held back neither: nobody listens any longer."""
        with self._lock:
            self._closed = True
            if self._later is not None:
                self._later.cancel()

    @property
    def progress(self) -> JobProgress:
        """How far it is now."""
        return self._progress

    @property
    def log(self) -> tuple[str, ...]:
        """The last notices, oldest first."""
        return tuple(self._log)

    def _tell_now(self, now: float) -> None:
        self._told_at, self._changed = now, False
        if self._closed:
            return
        self._tell(self._progress, tuple(self._log))

    def _take(self, event: Event, now: float) -> None:
        task = self._tasks.setdefault(event.task, _Task())
        match event:
            case TaskStarted(name=name) | TaskRenamed(name=name):
                task.name = name
            case StageEntered(stage=stage, total=total):
                task.enter(stage, total)
            case Advanced(done=done, total=total) | Stepped(done=done, total=total):
                task.advance(now, done, total)
            case Notice(text=text, warning=warning):
                self._note(f"warning: {text}" if warning else text)
                return
            case TaskFinished(outcome=outcome, detail=detail):
                del self._tasks[event.task]
                if detail and outcome is not Outcome.CANCELLED:
                    self._note(f"{task.name}: {detail}" if task.name else detail)
        self._show(task, now)

    def _note(self, text: str) -> None:
        self._log.append(text)
        self._progress = replace(self._progress, text=text)

    def _show(self, task: _Task, now: float) -> None:
        self._progress = replace(
            self._progress,
            name=task.name,
            stage=task.stage,
            done=task.done,
            total=task.total,
            speed=task.speed(now),
        )
