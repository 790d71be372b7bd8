"""The line above the keys: the job that was begun last, or that nothing runs."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.progress import Stage
from modelhub.services.jobs.model import Job, JobKind
from modelhub.text import cell_width, clean, human_duration, human_rate, pad, shorten

_SIGNS = {JobKind.DOWNLOAD: "↓", JobKind.RENDER: "◧", JobKind.CONVERT: "⇄"}
_BAR = 16


def bar(share: float, width: int) -> str:
    """A bar of `width` columns of which `share` (0 to 1) is full, to half a column."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    full, half = divmod(halves, 2)
    return "━" * full + ("╸" if half else "") + "─" * (width - full - half)


class ActivityBar(Widget):
    """One line, hidden while nothing runs."""

    DEFAULT_CSS = """
    ActivityBar { height: 1; width: 1fr; color: $foreground; background: $surface; }
    ActivityBar.idle { display: none; }
    """
    job: reactive[Job | None] = reactive(None)
    others: reactive[int] = reactive(0)
    """Jobs that run beside it."""

    def on_mount(self) -> None:
        """Nothing runs at first."""
        self.set_class(self.job is None, "idle")

    def watch_job(self, job: Job | None) -> None:
        """Show or hide the line."""
        self.set_class(job is None, "idle")

    def render(self) -> Content:
        """Sign, name, bar, share, speed and time left, as far as they are known."""
        job = self.job
        if job is None:
            return Content("")
        tail = self._tail(job)
        sign = f" {_SIGNS.get(job.kind, '•')} "
        room = self.size.width - cell_width(sign) - cell_width(tail) - 1
        name = shorten(clean(job.progress.name or job.title), max(8, room), middle=True)
        return Content.assemble((sign, "bold $primary"), (pad(name, room), ""), (tail, ""))

    def _tail(self, job: Job) -> str:
        progress = job.progress
        parts = [str(progress.stage or job.kind)]
        if progress.total:
            share = progress.done / progress.total
            parts += [bar(share, _BAR), f"{share:4.0%}"]
        if progress.speed and progress.stage is not Stage.RENDER:
            parts.append(human_rate(progress.speed))
        if progress.speed and progress.total:
            parts.append(human_duration((progress.total - progress.done) / progress.speed))
        if self.others:
            parts.append(f"+{self.others} more")
        return " " + "  ".join(parts) + " "
