"""The bars on a terminal, drawn with rich's live display."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from modelhub.cli.progress_lines import (
    Cells,
    Layout,
    bar_text,
    name_text,
    tail_text,
    task_cells,
    total_cells,
)
from modelhub.cli.progress_state import ProgressState, TaskState
from modelhub.cli.progress_view import OUTCOME_WORDS, transferred
from modelhub.progress import Event, Listener, Notice, Outcome, TaskFinished
from modelhub.text import clean, shorten

if TYPE_CHECKING:
    from modelhub.cli.context import App

REFRESHES_PER_SECOND = 8
_OUTCOME_STYLES = {
    Outcome.DONE: "green",
    Outcome.PLANNED: "cyan",
    Outcome.PRESENT: "green",
    Outcome.LINKED: "green",
    Outcome.FAILED: "bold red",
    Outcome.CANCELLED: "yellow",
}
_COMPLAINTS = (Outcome.FAILED, Outcome.CANCELLED)


@contextmanager
def bars(app: App) -> Iterator[Listener]:
    """Draw bars on the terminal of standard error as long as the block runs."""
    view = BarView(app.err)
    live = Live(
        console=app.err,
        get_renderable=view.render,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
        # What a command prints meanwhile goes above the bars; a redirected stdout stays apart.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    )
    told, app.interrupts.tell = app.interrupts.tell, view.stopping
    try:
        with live:
            yield view
    finally:
        app.interrupts.tell = told


class BarView:
    """The listener, and the picture of its state.

    :param clock: monotonic seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._state = ProgressState()
        self._lock = threading.Lock()
        self._stopping = ""

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        with self._lock:
            now = self._clock()
            task = self._state.apply(event, now)
            above = self._above(event, task, now)
        # Outside the lock: printing takes the display's lock, and drawing takes the two in the
        # other order.
        if above is not None:
            self._console.print(above)

    def stopping(self, text: str) -> None:
        """Show `text` as the last line from now on; called inside a signal handler."""
        self._stopping = text

    def render(self) -> Group:
        """The lines to draw now, as many as fit the terminal."""
        width, height = self._console.size
        layout = Layout.of(width)
        with self._lock:
            now = self._clock()
            active = self._state.active()
            shown = active[: max(1, height - 4)]
            lines = [self._line(task_cells(task, now), layout) for task in shown]
            if len(active) > len(shown):
                lines.append(Text(f"and {len(active) - len(shown)} more", style="dim"))
            if len(self._state.tasks) > 1:
                lines.append(self._line(total_cells(self._state, now), layout, style="bold"))
            previews = [task.preview for task in active if task.preview]
        if previews and not self._console.options.ascii_only:
            from modelhub.cli.progress_preview import preview_lines

            lines += preview_lines(previews[-1], width=width - 1, height=height - len(lines) - 2)
        if self._stopping:
            lines.append(Text(shorten(self._stopping, width - 1), style="yellow"))
        return Group(*lines)

    def _line(self, cells: Cells, layout: Layout, style: str = "") -> Text:
        line = Text(no_wrap=True, overflow="crop")
        line.append(name_text(cells, layout), style=style)
        if layout.bar:
            full, empty = bar_text(cells, layout, ascii_only=self._console.options.ascii_only)
            line.append(" ")
            line.append(full, style="green" if cells.fraction == 1.0 else "cyan")
            line.append(empty, style="dim")
        line.append(" " + tail_text(cells, layout), style=style)
        line.rstrip()
        return line

    def _above(self, event: Event, task: TaskState, now: float) -> Group | None:
        """What is written above the bars, and stays there; rich breaks long lines at words."""
        if isinstance(event, TaskFinished):
            return self._ending(event, task, now)
        if isinstance(event, Notice):
            name = shorten(clean(task.name), self._console.width // 2, middle=True)
            label = "warning: " if event.warning else ""
            style = "yellow" if event.warning else "dim"
            return Group(Text(f"{name}: {label}{clean(event.text)}", style=style))
        return None

    def _ending(self, event: TaskFinished, task: TaskState, now: float) -> Group:
        width = self._console.width - 3
        word = OUTCOME_WORDS[event.outcome]
        heading = Text(word, style=_OUTCOME_STYLES[event.outcome])
        name = shorten(clean(task.name), width - len(word), middle=True)
        heading.append(f" {name}", style="default")
        details = []
        if event.outcome is Outcome.DONE and task.fetched:
            details.append(shorten(transferred(task, now), width))
        if event.detail:
            detail = clean(event.detail)
            whole = event.outcome in _COMPLAINTS
            details.append(detail if whole else shorten(detail, width, middle=True))
        indent = (0, 0, 0, 2)
        return Group(heading, *(Padding(Text(detail), indent, expand=False) for detail in details))
