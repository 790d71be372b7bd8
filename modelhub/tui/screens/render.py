"""The Render screen: what to make, the picture as it comes, and what was made before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import Job, JobKind, JobRequest, JobState
from modelhub.text import clean
from modelhub.tui.render.gallery import differences, in_words, made_by, made_words
from modelhub.tui.render.gallerylist import Gallery
from modelhub.tui.render.wish import (
    FIELDS,
    FILES,
    HINTS,
    SEPARATOR,
    SEVERAL,
    USUAL,
    fields_of,
    wish_of,
)
from modelhub.tui.screens.section import Section
from modelhub.tui.widgets.filepicker import FilePicker
from modelhub.tui.widgets.form import Form
from modelhub.tui.widgets.picture import Picture
from modelhub.tui.widgets.promptline import PromptLine
from modelhub.tui.widgets.rows import Rows

_LOOK = 0.4
"""Seconds between two looks at the picture as it comes."""
_NOTHING = "f chooses files, r renders; what was made stands below"


class RenderScreen(Section):
    """A form, a picture, a gallery."""

    section = "render"
    BINDING_GROUP_TITLE = "Render"
    CSS = """
    RenderScreen #panes { height: 1fr; }
    RenderScreen Form { width: 2fr; min-width: 34; max-width: 56; }
    RenderScreen #right { width: 3fr; height: 1fr; border-left: vkey $panel; }
    RenderScreen #right:focus-within { border-left: vkey $primary; }
    RenderScreen #told { height: auto; max-height: 5; padding: 0 1; background: $surface; }
    RenderScreen Picture { height: 1fr; padding: 0 1; }
    RenderScreen #words { height: auto; max-height: 4; padding: 0 1; }
    RenderScreen Gallery { height: 7; border-top: solid $panel; border-title-color: $primary; }
    RenderScreen.tall Gallery { height: 14; }
    RenderScreen.tall #words { max-height: 8; }
    RenderScreen.zoomed Form, RenderScreen.zoomed Gallery, RenderScreen.zoomed #words {
        display: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "render"),
        Binding("f", "files", "files"),
        Binding("tab", "next_part", "gallery", tooltip="Between the form and the gallery"),
        Binding("z", "zoom", "zoom", tooltip="The picture alone, or with the rest"),
        Binding("o", "open", "open", tooltip="Show it in the system's viewer"),
        Binding("x", "stop", "stop", tooltip="Stop what is rendered"),
        Binding("ctrl+l", "usual", "reset form", show=False, tooltip="The usual values"),
        Binding("escape", "back", "back", show=False, tooltip="To the form"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._job = ""
        self._ended = False
        self._last: Path | None = None
        self._given: tuple[Path, ...] = ()

    def compose_body(self) -> ComposeResult:
        """Form, picture, gallery."""
        with Horizontal(id="panes"):
            form = Form(FIELDS)
            form.fill(USUAL)
            yield form
            with Vertical(id="right"):
                yield Static("", id="told", markup=False)
                yield Picture()
                yield Static("", id="words", markup=False)
                yield Gallery()
        yield PromptLine()

    # The parts

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    @property
    def gallery(self) -> Gallery:
        """The list of what was made."""
        return self.query_one(Gallery)

    @property
    def picture(self) -> Picture:
        """What is looked at."""
        return self.query_one(Picture)

    def on_mount(self) -> None:
        """Look for what was made before, and for what rendering needs."""
        self.form.focus()
        self.set_class(self.size.height >= 40, "tall")
        self._say(Content(_NOTHING))
        self._show_given()
        self._check_extra()
        self.set_interval(_LOOK, self._look_at_job)

    def on_resize(self, event: Resize) -> None:
        """A tall terminal has room for more of the gallery."""
        self.set_class(event.size.height >= 40, "tall")

    @work(thread=True, group="extra", exit_on_error=False)
    def _check_extra(self) -> None:
        from modelhub.render.worker.started import require_extra

        try:
            require_extra()
        except ModelhubError as error:
            self.app.call_from_thread(self._refuse, error)

    def _say(self, text: Content) -> None:
        self.query_one("#told", Static).update(text)

    def _refuse(self, error: ModelhubError) -> None:
        hint = f"\n{clean(error.hint)}" if error.hint else ""
        self._say(Content.assemble((f"✗ {clean(error.message)}", "bold $error"), hint))

    # The form

    def take(self, paths: Sequence[Path]) -> None:
        """Render these files."""
        self._given = tuple(paths)
        if self.is_mounted:
            self._show_given()

    def _show_given(self) -> None:
        if self._given:
            self._set_files("files", self._given)

    def _set_files(self, name: str, paths: Sequence[Path]) -> None:
        shown = ", ".join(path.name for path in paths)
        self.form.set(name, SEPARATOR.join(map(str, paths)), shown=shown)

    def action_files(self) -> None:
        """Choose what is rendered."""
        self._pick("files")

    def on_form_asked(self, event: Form.Asked) -> None:
        """Ask for files, or for a text."""
        event.stop()
        field = event.field
        if field.name in FILES:
            self._pick(field.name)
            return
        self.query_one(PromptLine).ask(
            f"{field.label.strip()}:",
            partial(self.form.set, field.name),
            value=self.form.values[field.name],
            hint=HINTS.get(field.name, ""),
        )

    def _pick(self, name: str) -> None:
        def chosen(paths: tuple[Path, ...] | None) -> None:
            if paths:
                self._set_files(name, paths)

        title = {"files": "Render", "on": "Try it on", "loras": "LoRAs", "vae": "VAE"}[name]
        picker = FilePicker(title, FILES[name], several=name in SEVERAL)
        self.app.push_screen(picker, chosen)

    def action_usual(self) -> None:
        """Back to the usual values."""
        self.form.fill({**dict.fromkeys(self.form.values, ""), **USUAL})

    # Rendering

    def action_run(self) -> None:
        """Render what the form asks for."""
        try:
            files, wish = wish_of(self.form.values)
        except ModelhubError as error:
            self._refuse(error)
            return
        from modelhub.services.jobs.plain import to_plain

        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        compared = f" by {' and '.join(wish.compare)}" if wish.compare else ""
        self._run(
            JobRequest(
                kind=JobKind.RENDER,
                arguments={"files": files, "wish": to_plain(wish)},
                title=f"{Path(files[0]).name}{more}{compared}",
            )
        )

    @work(thread=True, group="run", exit_on_error=False)
    def _run(self, request: JobRequest) -> None:
        try:
            job = self.session.jobs.enqueue(request)
        except ModelhubError as error:
            self.app.call_from_thread(self._refuse, error)
            return
        self.app.call_from_thread(self._begun, job)

    def _begun(self, job: Job) -> None:
        self._job, self._ended = job.id, False
        self._follow(self.hub.board.jobs.get(job.id, job))

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """Tell how far it is; when it has ended, show what was made."""
        for job in changed:
            if job.id == self._job:
                self._follow(job)
        if any(job.kind is JobKind.RENDER and job.state.ended for job in changed):
            self.gallery.load()

    def shown(self) -> None:
        """It may have ended while another screen was shown."""
        if self._job in self.hub.board.jobs:
            self._follow(self.hub.board.jobs[self._job])
            self.gallery.load()

    def _follow(self, job: Job) -> None:
        from modelhub.tui.jobs.joblines import in_brief

        self._say(made_words(job) if job.state is JobState.DONE else in_brief(job))
        if job.state is JobState.DONE and not self._ended:
            self._ended = True
            self._look_at(made_by(job))

    def _look_at_job(self) -> None:
        job = self.hub.board.jobs.get(self._job) if self._job else self._found_running()
        if job is not None and job.state is JobState.RUNNING and self.hub.screen is self:
            self._get_preview(job.id)

    def _found_running(self) -> Job | None:
        """A render that was asked for elsewhere, or before this run: it is followed from now on."""
        renders = [job for job in self.hub.board.running() if job.kind is JobKind.RENDER]
        if not renders:
            return None
        self._job = renders[0].id
        self._follow(renders[0])
        return renders[0]

    @work(thread=True, exclusive=True, group="coming", exit_on_error=False)
    def _get_preview(self, job_id: str) -> None:
        try:
            preview = self.session.jobs.preview(job_id)
        except ModelhubError:
            return
        if preview:
            self.app.call_from_thread(self._show_preview, job_id, preview)

    def _show_preview(self, job_id: str, preview: bytes) -> None:
        if job_id == self._job and not self._ended:
            self.picture.show(preview)
            self.query_one("#words", Static).update("")

    def action_stop(self) -> None:
        """Stop what is rendered; what was finished is kept."""
        if self._job:
            self._cancel(self._job)

    @work(thread=True, group="stop", exit_on_error=False)
    def _cancel(self, job_id: str) -> None:
        try:
            self.session.jobs.cancel(job_id)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)

    # Pictures

    @on(Rows.Pointed)
    def _pointed(self) -> None:
        if self.gallery.has_focus:
            self._show_pointed()

    def _show_pointed(self) -> None:
        one, path = self.gallery.current, self.gallery.path
        if path is None:
            return
        self.picture.show(path)
        words = in_words(one) if one is not None else differences(self.hub.board.jobs, path)
        self.query_one("#words", Static).update(words)

    def _look_at(self, path: Path | None) -> None:
        """Show a picture that was just made."""
        if path is not None:
            self._last = path
            self.picture.show(path)
            self.query_one("#words", Static).update(differences(self.hub.board.jobs, path))

    def on_gallery_used(self, event: Gallery.Used) -> None:
        """Fill the form with what a picture was made with."""
        event.stop()
        fields = fields_of(event.render.kept)
        for name in FILES:
            paths = [Path(text) for text in fields.get(name, "").split(SEPARATOR) if text]
            self.form.shown[name] = ", ".join(path.name for path in paths)
        self.form.fill(fields)
        self.form.focus()

    def action_next_part(self) -> None:
        """From the form to the gallery, and back."""
        if self.form.has_focus:
            self.gallery.focus()
            self._show_pointed()
        else:
            self.form.focus()

    def action_zoom(self) -> None:
        """The picture alone, or with the rest."""
        self.toggle_class("zoomed")

    def action_open(self) -> None:
        """Show the picture that was made last in the system's viewer."""
        path = self._last or self.gallery.path
        if path is not None:
            self.gallery.open_file(path)

    def action_back(self) -> None:
        """To the form."""
        self.remove_class("zoomed")
        self.form.focus()
