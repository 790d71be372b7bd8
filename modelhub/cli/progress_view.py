"""Progress on standard error: bars on a terminal, a line per stage elsewhere.

On a terminal every file that is worked on has one line (name, bar, percent, size, speed, time to
go, stage), below them a total line when there are several; notices and finished files are written
above and stay. Events may come from any thread.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from modelhub.cli.progress_state import ProgressState, TaskState
from modelhub.progress import (
    Event,
    Listener,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
)
from modelhub.text import clean, human_duration, human_rate, human_size

if TYPE_CHECKING:
    from modelhub.cli.context import App

OUTCOME_WORDS = {
    Outcome.DONE: "done",
    Outcome.PLANNED: "would go to",
    Outcome.PRESENT: "already here",
    Outcome.LINKED: "linked",
    Outcome.FAILED: "failed",
    Outcome.CANCELLED: "stopped",
}


@contextmanager
def progress_view(app: App) -> Iterator[Listener]:
    """The view for this run: of a terminal, of a log, or (with `--quiet`) warnings only."""
    view: AbstractContextManager[Listener]
    if app.quiet:
        view = _quiet(app)
    elif sys.stderr.isatty() and app.environ.get("TERM") != "dumb":
        from modelhub.cli.progress_bars import bars

        view = bars(app)
    else:
        view = _lines()
    with view as listener:
        yield listener


@contextmanager
def _quiet(app: App) -> Iterator[Listener]:
    state = ProgressState()
    lock = threading.Lock()

    def listener(event: Event) -> None:
        with lock:
            name = state.apply(event, 0.0).name
            if isinstance(event, Notice) and event.warning:
                app.warn(f"{clean(name)}: {event.text}")

    yield listener


@contextmanager
def _lines() -> Iterator[Listener]:
    yield LineView()


class LineView:
    """A line per stage, notice and end of a file, for logs and pipes; no bars.

    Names are not cut here: a log is searched.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = ProgressState()
        self._lock = threading.Lock()
        self._clock = clock

    def __call__(self, event: Event) -> None:
        """Take in one event, and write its line if it has one."""
        with self._lock:
            now = self._clock()
            before = self._state.tasks.get(event.task)
            stage_before = before.stage if before else None
            task = self._state.apply(event, now)
            line = self._line(event, task, stage_before, now)
            if line:
                click.echo(f"{clean(task.name)}: {clean(line)}", err=True)

    @staticmethod
    def _line(event: Event, task: TaskState, before: Stage | None, now: float) -> str | None:
        if isinstance(event, StageEntered):
            if event.stage is before:
                return None
            size = f" ({human_size(event.total)})" if event.total else ""
            return f"{event.stage}{size}"
        if isinstance(event, Notice):
            return f"warning: {event.text}" if event.warning else event.text
        if isinstance(event, TaskFinished):
            return ending(task, event, now)
        return None


def ending(task: TaskState, event: TaskFinished, now: float) -> str:
    """The last words on a task: ``done: 1.99 GiB in 52 s (38.1 MiB/s), PATH``."""
    words = OUTCOME_WORDS[event.outcome]
    if event.outcome is Outcome.DONE and task.fetched:
        words += f": {transferred(task, now)}"
        return f"{words}, {event.detail}" if event.detail else words
    return f"{words}: {event.detail}" if event.detail else words


def transferred(task: TaskState, now: float) -> str:
    """What was fetched in this run, in what time, at what speed."""
    seconds = max(now - task.started, 0.001)
    text = (
        f"{human_size(task.fetched)} in {human_duration(seconds)} "
        f"({human_rate(task.fetched / seconds)})"
    )
    if task.resumed:
        text += f", {human_size(task.resumed)} were there before"
    return text
