"""What the events so far amount to: the state that the progress views draw, without drawing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from modelhub.progress import (
    Advanced,
    Event,
    Outcome,
    Stage,
    StageEntered,
    Stepped,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)

WINDOW = 8.0
"""Seconds that a speed is averaged over: calm to look at, quick to show a stall."""
_COUNTED = (Stage.DOWNLOAD, Stage.CONVERT)
"""The stages whose bytes make up the total line: what was fetched, or written."""


class Speedometer:
    """Bytes (or steps) a second over the last :data:`WINDOW` seconds, from absolute counts."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        """`count` bytes had been fetched at the time `now` (seconds of any monotonic clock)."""
        samples = self._samples
        if samples and count < samples[-1][1]:
            samples.clear()  # the transfer began anew
        if len(samples) > 1 and now - samples[-1][0] < 0.05:
            samples[-1] = (samples[-1][0], count)
        else:
            samples.append((now, count))
        while len(samples) > 2 and now - samples[1][0] > WINDOW:
            samples.popleft()

    def speed(self, now: float) -> float | None:
        """Bytes a second; None as long as there is too little to tell."""
        if not self._samples:
            return None
        first_time, first_count = self._samples[0]
        elapsed = now - first_time
        if elapsed < 0.2:
            return None
        return (self._samples[-1][1] - first_count) / elapsed


@dataclass(slots=True)
class TaskState:
    """One line of the progress display. Counts are bytes, times seconds of the view's clock.

    `started` is when the download began, or the task itself as long as it has not.
    """

    name: str
    started: float
    stage: Stage | None = None
    done: int = 0
    total: int | None = None
    fetched: int = 0
    """Of the download, without what an earlier run had fetched."""
    resumed: int = 0
    download_done: int = 0
    download_total: int | None = None
    outcome: Outcome | None = None
    speedometer: Speedometer = field(default_factory=Speedometer)
    in_steps: bool = False
    """Whether `done` and `total` of the present stage are steps, not bytes."""
    preview: bytes = b""
    """A small PNG of what is there so far."""

    def remaining_seconds(self, now: float) -> float | None:
        """How long this stage will go on at its present speed."""
        if self.in_steps:
            return remaining_steps(self.done, self.total, self.speedometer.speed(now))
        return remaining(self.done, self.total, self.speedometer.speed(now))


def remaining(done: int, total: int | None, speed: float | None) -> float | None:
    """Seconds until `total` is reached; None where that cannot be told."""
    if total is None or not speed or speed < 1:
        return None
    return max(0, total - done) / speed


def remaining_steps(done: int, total: int | None, speed: float | None) -> float | None:
    """The same for steps, of which one may take minutes."""
    if total is None or not speed:
        return None
    return max(0, total - done) / speed


@dataclass(frozen=True, slots=True)
class Summary:
    """All tasks together."""

    finished: int
    tasks: int
    done: int
    total: int | None
    """None as long as the size of any download is unknown."""
    fetched: int
    in_steps: bool = False
    """Whether it is pictures that are made: their bytes say nothing."""


class ProgressState:
    """All tasks of one run, kept up to date by :meth:`apply`; the caller locks."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskState] = {}
        self.speedometer = Speedometer()

    def apply(self, event: Event, now: float) -> TaskState:
        """Take in `event`; the state of its task, made if it was never announced."""
        task = self.tasks.get(event.task)
        if task is None:
            task = self.tasks[event.task] = TaskState(event.task, now)
        if isinstance(event, TaskStarted | TaskRenamed):
            task.name = event.name
        elif isinstance(event, StageEntered):
            self._enter(task, event, now)
        elif isinstance(event, Advanced):
            self._advance(task, event, now)
        elif isinstance(event, Stepped):
            task.in_steps = True
            task.done, task.total = event.done, event.total
            task.preview = event.preview or task.preview
            task.speedometer.note(now, event.done)
        elif isinstance(event, TaskFinished):
            task.preview = b""
            task.outcome = event.outcome
        return task

    @staticmethod
    def _enter(task: TaskState, event: StageEntered, now: float) -> None:
        task.stage = event.stage
        task.in_steps = event.stage is Stage.RENDER
        task.done, task.total = 0, event.total
        task.speedometer = Speedometer()
        if event.stage in _COUNTED:
            task.download_total = event.total
            task.started = now

    def _advance(self, task: TaskState, event: Advanced, now: float) -> None:
        task.done = event.done
        if event.total is not None:
            task.total = event.total
        task.speedometer.note(now, max(0, event.done - event.resumed))
        if task.stage in (*_COUNTED, None):
            task.download_done = event.done
            task.download_total = task.total
            task.resumed = event.resumed
            task.fetched = max(0, event.done - event.resumed)
            self.speedometer.note(now, sum(each.fetched for each in self.tasks.values()))

    def active(self) -> list[TaskState]:
        """Tasks that are not finished, in the order of their start."""
        return [task for task in self.tasks.values() if task.outcome is None]

    def summary(self) -> Summary:
        """The total line."""
        tasks = list(self.tasks.values())
        open_sizes = [
            task for task in tasks if task.outcome is None and task.download_total is None
        ]
        total = sum(task.download_total or task.download_done for task in tasks)
        return Summary(
            finished=sum(task.outcome is not None for task in tasks),
            tasks=len(tasks),
            done=sum(task.download_done for task in tasks),
            total=None if open_sizes else total,
            fetched=sum(task.fetched for task in tasks),
            in_steps=any(task.stage in (Stage.LOAD, Stage.RENDER) for task in tasks),
        )
