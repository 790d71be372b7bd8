"""How one line of progress is laid out: columns that always fit the terminal's width."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.cli.progress_state import ProgressState, TaskState, remaining
from modelhub.progress import Stage
from modelhub.text import clean, human_rate, human_size, pad, shorten

PERCENT, SIZE, SPEED, ETA, STAGE = 4, 10, 12, 7, 11
_MOVING = (
    Stage.DOWNLOAD,
    Stage.VERIFY,
    Stage.PLACE,
    Stage.HASH,
    Stage.SCAN,
    Stage.CONVERT,
    Stage.LOAD,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the columns in a terminal of `width` columns; 0: the column is left out."""

    name: int
    bar: int
    percent: int
    size: int
    speed: int
    eta: int
    stage: int

    @classmethod
    def of(cls, width: int) -> Layout:
        """The best layout: narrow terminals lose the bar first, then times, sizes and stage."""
        # The last column stays free: some terminals wrap as soon as it is written.
        room = max(width, 20) - 1
        bar, size, speed, eta, stage = 10, SIZE, SPEED, ETA, STAGE
        if room < 79:
            bar = 0
        if room < 68:
            eta = 0
        if room < 60:
            size = 0
        if room < 49:
            speed = 0
        if room < 37:
            stage = 0
        columns = [bar, PERCENT, size, speed, eta, stage]
        name = room - sum(columns) - sum(1 for column in columns if column)
        if name > 36:
            extra = min(name - 36, 30)
            bar, name = bar + extra, name - extra
        return cls(name, bar, PERCENT, size, speed, eta, stage)


@dataclass(frozen=True, slots=True)
class Cells:
    """What stands in one line; the bar as a fraction, None where there is nothing to measure."""

    name: str
    fraction: float | None
    size: str
    speed: str
    eta: str
    stage: str


def clock(seconds: float | None) -> str:
    """A time to go in at most seven columns: ``0:42``, ``12:05``, ``3:07:00``, ``4d 02h``."""
    if seconds is None:
        return "-:--"
    whole = round(seconds)
    if whole >= 100 * 86400:
        return ">99d"
    if whole >= 86400:
        return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}"


def task_cells(task: TaskState, now: float) -> Cells:
    """The line of one file."""
    stage = task.stage.value if task.stage else "waiting"
    if task.in_steps:
        return _step_cells(task, now, stage)
    if task.stage not in _MOVING or (task.total is None and not task.done):
        size = human_size(task.download_total) if task.download_total else ""
        return Cells(task.name, None, size, "", "", stage)
    fraction = min(1.0, task.done / task.total) if task.total else None
    return Cells(
        name=task.name,
        fraction=fraction,
        size=human_size(task.total if task.total is not None else task.done),
        speed=human_rate(task.speedometer.speed(now)),
        eta=clock(task.remaining_seconds(now)),
        stage=stage,
    )


def _step_cells(task: TaskState, now: float, stage: str) -> Cells:
    return Cells(
        name=task.name,
        fraction=min(1.0, task.done / task.total) if task.total else None,
        size=f"{task.done}/{task.total}" if task.total else "",
        speed=step_rate(task.speedometer.speed(now)),
        eta=clock(task.remaining_seconds(now)) if task.total else "",
        stage=stage,
    )


def step_rate(steps_per_second: float | None) -> str:
    """A speed in steps, as users of web UIs know it: ``3.2 it/s``, ``4.1 s/it``."""
    if not steps_per_second:
        return "-"
    if steps_per_second >= 1:
        return f"{steps_per_second:.1f} it/s"
    return f"{1 / steps_per_second:.1f} s/it"


def total_cells(state: ProgressState, now: float) -> Cells:
    """The line of all files together."""
    summary = state.summary()
    if summary.in_steps:
        name = f"total, {summary.finished} of {summary.tasks} done"
        return Cells(name, summary.finished / summary.tasks, "", "", "", "")
    speed = state.speedometer.speed(now)
    return Cells(
        name=f"total, {summary.finished} of {summary.tasks} done",
        fraction=min(1.0, summary.done / summary.total) if summary.total else None,
        size=human_size(summary.total if summary.total is not None else summary.done),
        speed=human_rate(speed),
        eta=clock(remaining(summary.done, summary.total, speed)),
        stage="",
    )


def name_text(cells: Cells, layout: Layout) -> str:
    """The name column; cut in the middle, so that the extension stays."""
    return pad(shorten(clean(cells.name), layout.name, middle=True), layout.name)


def bar_text(cells: Cells, layout: Layout, *, ascii_only: bool) -> tuple[str, str]:
    """The filled and the empty part of the bar; spaces where there is nothing to measure."""
    if cells.fraction is None:
        return "", " " * layout.bar
    filled = int(cells.fraction * layout.bar)
    full, empty = ("#", "-") if ascii_only else ("━", "─")
    return full * filled, empty * (layout.bar - filled)


def tail_text(cells: Cells, layout: Layout) -> str:
    """Everything right of the bar."""
    percent = "" if cells.fraction is None else f"{int(cells.fraction * 100)}%"
    parts = [
        pad(shorten(text, width), width, right=right)
        for text, width, right in (
            (percent, layout.percent, True),
            (cells.size, layout.size, True),
            (cells.speed, layout.speed, True),
            (cells.eta, layout.eta, True),
            (cells.stage, layout.stage, False),
        )
        if width
    ]
    return " ".join(parts)
