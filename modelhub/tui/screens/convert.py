"""The Convert screen: files, what is to become of them, the plan before anything is written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from modelhub.errors import Cancelled, ModelhubError
from modelhub.services.jobs.model import Job, JobKind, JobProgress, JobRequest
from modelhub.text import clean, plural
from modelhub.tui.convert.wish import FIELDS, FILES, HINTS, SEPARATOR, USUAL, request_of
from modelhub.tui.screens.section import Section
from modelhub.tui.widgets.filepicker import FilePicker
from modelhub.tui.widgets.form import Form
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from modelhub.services.convert import ConvertRequest, PlanOutcome

_PLAN_AFTER = 0.2
_NO_FILE = "f chooses files; c in the Library brings the selected ones here"


class PlanPane(VerticalScroll):
    """The plan, and what became of it."""

    BINDING_GROUP_TITLE = "Plan"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
        Binding("escape,tab", "leave", "to the form"),
    ]

    def action_leave(self) -> None:
        """To the form."""
        self.screen.query_one(Form).focus()


class ConvertScreen(Section):
    """A form, and the plan that follows from it."""

    section = "convert"
    BINDING_GROUP_TITLE = "Convert"
    CSS = """
    ConvertScreen #sources {
        height: auto; max-height: 3; padding: 0 1; background: $surface;
    }
    ConvertScreen #panes { height: 1fr; }
    ConvertScreen Form { width: 2fr; min-width: 34; max-width: 60; }
    ConvertScreen #right { width: 3fr; height: 1fr; border-left: vkey $panel; }
    ConvertScreen #right:focus-within { border-left: vkey $primary; }
    ConvertScreen PlanPane { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    ConvertScreen PlanPane > Static { height: auto; }
    ConvertScreen #outcome { height: auto; max-height: 6; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "files", "files"),
        Binding("r", "run", "convert"),
        Binding("tab", "plan", "plan", tooltip="Go to the plan"),
        Binding("p", "plan_again", "plan again", show=False, tooltip="Look at the files again"),
        Binding("ctrl+l", "usual", "reset form", show=False, tooltip="The usual values"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.sources: tuple[Path, ...] = ()
        self.outcomes: Sequence[PlanOutcome] = ()
        self._cancel = threading.Event()
        self._asked = 0
        self._timer: Timer | None = None
        self._job = ""

    def compose_body(self) -> ComposeResult:
        """Files, form, plan."""
        yield Static("", id="sources", markup=False)
        with Horizontal(id="panes"):
            form = Form(FIELDS)
            form.fill(USUAL)
            yield form
            with Vertical(id="right"):
                with PlanPane():
                    yield Static("", markup=False)
                yield Static("", id="outcome", markup=False)
        yield PromptLine()

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    def on_mount(self) -> None:
        """Nothing is chosen yet."""
        self.form.focus()
        self.query_one("#outcome").display = False
        self._show_sources()
        self._say(_NO_FILE if not self.sources else "")

    def on_unmount(self) -> None:
        """Plan no longer."""
        self._cancel.set()

    # What is converted

    def take(self, paths: Sequence[Path]) -> None:
        """Convert these files."""
        self.sources = tuple(paths)
        if self.is_mounted:
            self._show_sources()
            self._tell_outcome(None)
            self.plan()

    def _show_sources(self) -> None:
        names = ", ".join(clean(path.name) for path in self.sources[:3])
        more = f" and {len(self.sources) - 3:,} more" if len(self.sources) > 3 else ""
        text = f"{plural(len(self.sources), 'file')}: {names}{more}" if names else "no file chosen"
        self.query_one("#sources", Static).update(Content.styled(text, "bold"))

    def action_files(self) -> None:
        """Choose files."""

        def chosen(paths: tuple[Path, ...] | None) -> None:
            if paths:
                self.take(paths)

        self.app.push_screen(FilePicker("Files to convert", several=True), chosen)

    # The form

    def on_form_changed(self, event: Form.Changed) -> None:
        """Another wish, another plan."""
        event.stop()
        self.plan()

    def on_form_asked(self, event: Form.Asked) -> None:
        """Ask for a file, or for a text."""
        event.stop()
        field = event.field
        query = FILES.get(field.name)
        if query is None:
            self.query_one(PromptLine).ask(
                f"{field.label.strip()}:",
                partial(self.form.set, field.name),
                value=self.form.values[field.name],
                hint=HINTS.get(field.name, ""),
            )
            return

        def chosen(paths: tuple[Path, ...] | None) -> None:
            if paths:
                shown = ", ".join(path.name for path in paths)
                self.form.set(field.name, SEPARATOR.join(map(str, paths)), shown=shown)

        several = field.name == "merge"
        self.app.push_screen(FilePicker(field.label.strip(), query, several=several), chosen)

    def action_usual(self) -> None:
        """Back to the usual values."""
        self.form.fill({**dict.fromkeys(self.form.values, ""), **USUAL})
        self.plan()

    # The plan

    def action_plan(self) -> None:
        """Go to the plan."""
        self.query_one(PlanPane).focus()

    def action_plan_again(self) -> None:
        """Look at the files again."""
        self.plan()

    def plan(self) -> None:
        """Plan once nothing was changed for a moment; a plan that is being made is given up."""
        self._cancel.set()
        self._asked += 1
        self.outcomes = ()
        if self._timer is not None:
            self._timer.stop()
        if self.sources:
            self._timer = self.set_timer(_PLAN_AFTER, self._plan_now)

    def _plan_now(self) -> None:
        try:
            request = request_of(self.form.values)
        except ModelhubError as error:
            self._refused(self._asked, error)
            return
        self._cancel = threading.Event()
        self._say("looking at the files ...")
        self._make_plan(self._asked, self.sources, request, self._cancel)

    @work(thread=True, group="plan", exit_on_error=False)
    def _make_plan(
        self,
        asked: int,
        sources: tuple[Path, ...],
        request: ConvertRequest,
        cancel: threading.Event,
    ) -> None:
        from modelhub.services.convert import plan_conversions
        from modelhub.services.jobs.progress import ProgressFold

        app = self.app  # it is told from another thread as well, which knows of no app

        def tell(progress: JobProgress, log: tuple[str, ...]) -> None:
            if not cancel.is_set():
                app.call_from_thread(self._progressed, asked, progress)

        fold = ProgressFold(tell)
        try:
            outcomes = plan_conversions(
                sources,
                request,
                config=self.session.config,
                catalog=self.session.catalog,
                listener=fold,
                cancel=cancel,
            )
        except Cancelled:
            return
        except ModelhubError as error:
            app.call_from_thread(self._refused, asked, error)
            return
        finally:
            fold.close()
        if not cancel.is_set():
            app.call_from_thread(self._planned, asked, outcomes)

    def _progressed(self, asked: int, progress: JobProgress) -> None:
        if asked == self._asked and self.is_mounted and progress.total:
            share = f"{progress.done / progress.total:.0%}"
            self._say(f"{progress.name}: {progress.stage} {share}")

    def _planned(self, asked: int, outcomes: Sequence[PlanOutcome]) -> None:
        from modelhub.tui.convert.plantext import plans

        if asked == self._asked and self.is_mounted:
            self.outcomes = outcomes
            self._say(plans(outcomes))

    def _refused(self, asked: int, error: ModelhubError) -> None:
        if asked == self._asked and self.is_mounted:
            text = Content.styled(f"✗ {clean(error.message)}", "bold $error")
            hint = Content(f"\n{clean(error.hint)}" if error.hint else "")
            self._say(Content.assemble(text, hint))

    def _say(self, text: str | Content) -> None:
        said = clean(text, lines=True) if isinstance(text, str) else text
        pane = self.query_one(PlanPane)
        pane.query_one(Static).update(said)
        pane.scroll_home(animate=False)

    # Running

    def action_run(self) -> None:
        """Convert, as planned."""
        if not self.sources:
            self.hub.notify("choose files first: f", severity="warning")
            return
        try:
            request = request_of(self.form.values)
        except ModelhubError as error:
            self.hub.tell_error(error)
            return
        if not request.delete_source:
            self._run(self.sources, request)
            return

        def answered(text: str) -> None:
            if text.casefold() in ("y", "yes"):
                self._run(self.sources, request)

        number = plural(len(self.sources), "source file")
        question = f"Delete {number} once the results are verified? yes or no:"
        self.query_one(PromptLine).ask(question, answered)

    @work(thread=True, group="run", exit_on_error=False)
    def _run(self, sources: tuple[Path, ...], request: ConvertRequest) -> None:
        from modelhub.services.jobs.plain import to_plain

        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        wanted = JobRequest(
            kind=JobKind.CONVERT,
            arguments={"sources": [str(one) for one in sources], "request": to_plain(request)},
            title=f"{sources[0].name}{more}",
        )
        try:
            job = self.session.jobs.enqueue(wanted)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._begun, job)

    def _begun(self, job: Job) -> None:
        self._job = job.id
        self._tell_outcome(self.hub.board.jobs.get(job.id, job))

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """Tell how far the conversion is."""
        for job in changed:
            if job.id == self._job:
                self._tell_outcome(job)

    def shown(self) -> None:
        """It may have ended while another screen was shown."""
        if self._job and self._job in self.hub.board.jobs:
            self._tell_outcome(self.hub.board.jobs[self._job])

    def _tell_outcome(self, job: Job | None) -> None:
        from modelhub.tui.jobs.joblines import in_brief

        outcome = self.query_one("#outcome", Static)
        outcome.display = job is not None
        outcome.update(in_brief(job) if job is not None else "")
