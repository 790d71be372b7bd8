"""The Jobs screen: what runs, waits and has ended, and how it is steered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import Job, JobKind, JobState
from modelhub.text import clean, plural
from modelhub.tui.jobs.joblines import in_full, listing
from modelhub.tui.screens.section import Section
from modelhub.tui.widgets.picture import Picture
from modelhub.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from modelhub.services.jobs.anywhere import JobsAnywhere

BESIDE = 130
"""Columns of the terminal from which the details stand beside the list."""
_LOOK_FOR_DAEMON = 2.0
_LOOK_AT_PICTURE = 0.4
"""Seconds between two looks at the picture that a render is making."""
_HERE = "done by this program, and ended with it; `modelhub daemon start` outlives it"
_DAEMON = "done by the daemon: they go on when this program ends"
_EMPTY = "no jobs yet: pull, convert or render something"


class JobDetails(VerticalScroll):
    """One job in full, with its log."""

    DEFAULT_CSS = """
    JobDetails {
        height: 1fr; width: 1fr; padding: 0 1; background: $surface; scrollbar-size-vertical: 1;
        border-left: vkey $panel;
    }
    JobDetails:focus { border-left: vkey $primary; }
    JobDetails > Static { height: auto; }
    JobDetails > Picture { height: 20; margin-top: 1; display: none; }
    """
    BINDING_GROUP_TITLE = "Log"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
        Binding("escape", "leave", "back to the list"),
    ]

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static("", markup=False)
        yield Picture()

    def show(self, job: Job | None, *, here: bool | None, anew: bool) -> None:
        """Show a job, from its top where it is another one."""
        if anew or job is None or job.state is not JobState.RUNNING:
            self.query_one(Picture).display = False
        self.query_one(Static).update(in_full(job, here=here) if job is not None else "")
        if anew:
            self.scroll_home(animate=False)

    def show_preview(self, png: bytes) -> None:
        """Show the picture that the job is making, as far as it is."""
        picture = self.query_one(Picture)
        picture.show(png)
        picture.display = True

    def action_leave(self) -> None:
        """To the list."""
        self.screen.query_one(Rows).focus()


class JobsScreen(Section):
    """All jobs, the running ones first."""

    section = "jobs"
    BINDING_GROUP_TITLE = "Jobs"
    CSS = """
    JobsScreen #runner { height: 1; width: 1fr; padding: 0 1; color: $text-muted; }
    JobsScreen #both { height: 1fr; layout: vertical; }
    JobsScreen #both > Rows { height: 1fr; }
    JobsScreen #both > JobDetails { height: 9; }
    JobsScreen.beside #both { layout: horizontal; }
    JobsScreen.beside #both > JobDetails { height: 1fr; width: 2fr; }
    JobsScreen.beside #both > Rows { width: 3fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,space", "pause", "pause/resume", key_display="p"),
        Binding("x,delete", "cancel", "cancel", key_display="x"),
        Binding("r", "retry", "retry"),
        Binding("plus,equals_sign", "priority(-1)", "sooner", key_display="+"),
        Binding("minus", "priority(1)", "later", key_display="-"),
        Binding("C", "clear", "clear ended"),
        Binding("enter", "log", "log", tooltip="Go into the log"),
        Binding("P", "pause_all", "pause all", show=False, tooltip="Pause all that runs or waits"),
        Binding("R", "retry_failed", "retry failed", show=False, tooltip="Retry all that failed"),
    ]

    def compose_body(self) -> ComposeResult:
        """Who does the jobs, the list, one job in full."""
        yield Static("", id="runner", markup=False)
        with Container(id="both"):
            rows = Rows()
            rows.empty_text = _EMPTY
            yield rows
            yield JobDetails()

    def on_mount(self) -> None:
        """Look for the daemon now and then."""
        self._shown = ""
        self._here: dict[str, bool] = {}
        self._arrange(self.size.width)
        self.rows.focus()
        self.freshen()
        self._ask_runner()
        self.set_interval(_LOOK_FOR_DAEMON, self._look_for_daemon)
        self.set_interval(_LOOK_AT_PICTURE, self._look_at_picture)

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one(Rows)

    @property
    def current(self) -> Job | None:
        """The job under the cursor."""
        return self.hub.board.jobs.get(self.rows.key)

    def on_resize(self, event: Resize) -> None:
        """The details stand beside the list where there is room."""
        self._arrange(event.size.width)

    def _arrange(self, width: int) -> None:
        self.set_class(width >= BESIDE, "beside")

    # What is shown

    def shown(self) -> None:
        """Jobs may have changed while another screen was shown."""
        if self.is_mounted and hasattr(self, "_here"):
            self.freshen()

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """Show what changed."""
        self.freshen()

    def freshen(self) -> None:
        """Show the jobs as they are now."""
        self.rows.show(listing(self.hub.board.jobs.values()))
        self._show_details()

    @on(Rows.Pointed)
    def _pointed(self) -> None:
        self._show_details()

    @on(Rows.Opened)
    def _opened(self) -> None:
        self.action_log()

    def _show_details(self) -> None:
        job = self.current
        key = job.id if job is not None else ""
        if key and key not in self._here:
            self._ask_where(key)
        self.query_one(JobDetails).show(job, here=self._here.get(key), anew=key != self._shown)
        self._shown = key

    @work(thread=True, group="where", exit_on_error=False)
    def _ask_where(self, job_id: str) -> None:
        here = self.session.jobs.is_here(job_id)
        self.app.call_from_thread(self._know_where, job_id, here)

    def _know_where(self, job_id: str, here: bool) -> None:
        self._here[job_id] = here
        if self.rows.key == job_id:
            self._show_details()

    def _look_at_picture(self) -> None:
        job = self.current
        if job is None or job.kind is not JobKind.RENDER or self.hub.screen is not self:
            return
        if job.state is JobState.RUNNING:
            self._get_preview(job.id)

    @work(thread=True, exclusive=True, group="picture", exit_on_error=False)
    def _get_preview(self, job_id: str) -> None:
        try:
            png = self.session.jobs.preview(job_id)
        except ModelhubError:
            return
        if png:
            self.app.call_from_thread(self._show_preview, job_id, png)

    def _show_preview(self, job_id: str, png: bytes) -> None:
        job = self.current
        if job is not None and job.id == job_id and job.state is JobState.RUNNING:
            self.query_one(JobDetails).show_preview(png)

    def _look_for_daemon(self) -> None:
        if self.hub.screen is self:
            self._ask_runner()

    @work(thread=True, exclusive=True, group="runner", exit_on_error=False)
    def _ask_runner(self) -> None:
        try:
            jobs = self.session.jobs
            stranded = jobs.stranded
            text = _DAEMON if jobs.daemon_runs else _HERE
        except ModelhubError as error:
            stranded, text = 0, error.message
        if stranded:
            text = f"no daemon runs: {plural(stranded, 'job')} of it wait until one is started"
        self.app.call_from_thread(self.query_one("#runner", Static).update, clean(text))

    # What is done

    def action_log(self) -> None:
        """Go into the details and the log."""
        if self.current is not None:
            self.query_one(JobDetails).focus()

    def action_pause(self) -> None:
        """Pause the job, or let it go on."""
        job = self.current
        if job is None:
            return
        if job.state is JobState.PAUSED:
            self._steer(lambda jobs: jobs.resume(job.id))
        else:
            self._steer(lambda jobs: jobs.pause(job.id))

    def action_pause_all(self) -> None:
        """Pause all that runs or waits; where nothing does, let all paused ones go on."""
        jobs = self.hub.board.jobs.values()
        going = [job for job in jobs if job.state in (JobState.RUNNING, JobState.WAITING)]
        paused = [job for job in jobs if job.state is JobState.PAUSED]
        for job in going:
            self._steer(lambda jobs, job=job: jobs.pause(job.id))
        for job in paused if not going else ():
            self._steer(lambda jobs, job=job: jobs.resume(job.id))

    def action_cancel(self) -> None:
        """Stop the job for good."""
        job = self.current
        if job is not None:
            self._steer(lambda jobs: jobs.cancel(job.id))

    def action_retry(self) -> None:
        """Do the job again."""
        job = self.current
        if job is not None:
            self._steer(lambda jobs: jobs.retry(job.id))

    def action_retry_failed(self) -> None:
        """Do all again that failed."""
        for job in self.hub.board.jobs.values():
            if job.state is JobState.FAILED:
                self._steer(lambda jobs, job=job: jobs.retry(job.id))

    def action_priority(self, by: int) -> None:
        """Have a waiting job done sooner, or later."""
        job = self.current
        if job is not None:
            self._steer(lambda jobs: jobs.prioritise(job.id, job.priority + by))

    def action_clear(self) -> None:
        """Forget all jobs that have ended."""
        self._clear()

    @work(thread=True, group="steer", exit_on_error=False)
    def _steer(self, ask: Callable[[JobsAnywhere], Job]) -> None:
        try:
            ask(self.session.jobs)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)

    @work(thread=True, group="steer", exit_on_error=False)
    def _clear(self) -> None:
        try:
            self.session.jobs.clear()
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._cleared)

    def _cleared(self) -> None:
        self.hub.board.forget_ended()
        self.freshen()
