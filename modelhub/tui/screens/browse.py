"""The Browse screen: search Civitai, look, pull."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Input, Static

from modelhub.errors import Cancelled, ModelhubError
from modelhub.services.jobs.model import Job, JobKind, JobState
from modelhub.text import clean, human_size
from modelhub.tui.browse.details import FoundDetails
from modelhub.tui.browse.filterline import FilterLine
from modelhub.tui.browse.listing import listing
from modelhub.tui.browse.wish import Wish, choices
from modelhub.tui.browse.words import LONGEST_WORDS, WordsInput
from modelhub.tui.screens.section import Section
from modelhub.tui.widgets.chooser import Chooser
from modelhub.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from modelhub.civitai.schema import Version
    from modelhub.services.browse import Browsed, Browsing

BESIDE = 110
"""Columns of the terminal from which the details stand beside the list."""
TALL = 34
_PICTURE_AFTER = 0.2
_NAMES = {"t": "type", "b": "base", "s": "sort", "o": "period", "n": "nsfw"}


class BrowseScreen(Section):
    """What Civitai has."""

    section = "browse"
    BINDING_GROUP_TITLE = "Browse"
    CSS = """
    BrowseScreen #ask { height: 1; background: $surface; }
    BrowseScreen #ask > Static { width: 3; color: $accent; text-style: bold; }
    BrowseScreen #ask > Input {
        width: 1fr; height: 1; border: none; padding: 0; background: $surface;
    }
    BrowseScreen #told {
        height: auto; max-height: 5; padding: 0 1; display: none; color: $error;
        background: $surface; text-style: bold;
    }
    BrowseScreen #panes { height: 1fr; }
    BrowseScreen #found { width: 1fr; }
    BrowseScreen FoundDetails { display: none; }
    BrowseScreen.beside FoundDetails { display: block; }
    BrowseScreen.alone #found { display: none; }
    BrowseScreen.alone FoundDetails { display: block; border-left: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "words", "search", key_display="/"),
        Binding("p", "pull", "pull"),
        Binding("enter", "details", "details", tooltip="Versions, files and facts"),
        Binding("t", "choose('type')", "type"),
        Binding("b", "choose('base')", "base"),
        Binding("s", "choose('sort')", "sort"),
        Binding("o", "choose('period')", "period", show=False, tooltip="Counted over which time"),
        Binding("n", "choose('nsfw')", "adult", show=False, tooltip="With or without adult models"),
        Binding("r", "again", "again", show=False, tooltip="Ask Civitai again"),
        Binding("tab", "next_part", "next part", show=False),
        Binding("escape", "back", "back", show=False, tooltip="Back to the list"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.wish = Wish()
        self._asked = 0
        self._browsing: Browsing | None = None
        self._found: dict[str, Browsed] = {}
        self._more = False
        self._loading = False
        self._pulling: frozenset[int] = frozenset()
        self._enums: tuple[list[str], list[str]] = ([], [])
        self._timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Words, filters, what went wrong, the list and the details."""
        with Horizontal(id="ask"):
            yield Static(" /")
            yield WordsInput(
                placeholder="words, or an id, link, AIR or hash",
                max_length=LONGEST_WORDS,
                compact=True,
            )
        yield FilterLine()
        yield Static("", id="told", markup=False)
        with Horizontal(id="panes"):
            yield Rows(id="found")
            yield FoundDetails()

    # The parts

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one("#found", Rows)

    @property
    def details(self) -> FoundDetails:
        """The details."""
        return self.query_one(FoundDetails)

    @property
    def current(self) -> Browsed | None:
        """The model under the cursor."""
        return self._found.get(self.rows.key)

    def on_mount(self) -> None:
        """Ask for what is downloaded most."""
        self._arrange()
        self.rows.focus()
        self._note_pulls()
        self.search()

    def on_unmount(self) -> None:
        """Wait for no answer any more."""
        if self._browsing is not None:
            self._browsing.stop()

    def on_resize(self, event: Resize) -> None:
        """The details stand beside the list where there is room."""
        self._arrange()

    def _arrange(self) -> None:
        beside = self.size.width >= BESIDE
        self.set_class(beside, "beside")
        self.details.set_class(self.size.height >= TALL, "tall")
        if beside:
            self.remove_class("alone")

    # Searching

    def search(self) -> None:
        """Ask Civitai for what is wished."""
        self._asked += 1
        self._found, self._more, self._loading = {}, False, True
        if self._browsing is not None:
            self._browsing.stop()
            self._browsing = None
        self.query_one(FilterLine).filters = self.wish.in_words()
        self._tell("")
        self.rows.empty_text = "asking Civitai ..."
        self._show_list(to_top=True)
        self._begin(self._asked, self.wish)

    @work(thread=True, group="search", exit_on_error=False)
    def _begin(self, asked: int, wish: Wish) -> None:
        from modelhub.services.browse import Browsing

        try:
            session = self.session
            browsing = Browsing(session.config, session.key(), session.catalog, wish.filters())
            self.app.call_from_thread(self._opened, asked, browsing)
            found = browsing.next_page()
            self.app.call_from_thread(self._page, asked, found, browsing.more)
            enums = browsing.enums()
            self.app.call_from_thread(self._know_enums, enums.model_type, enums.base_model)
        except ModelhubError as error:
            self.app.call_from_thread(self._refused, asked, error)

    def _opened(self, asked: int, browsing: Browsing) -> None:
        if asked != self._asked or not self.is_mounted:
            browsing.stop()
        else:
            self._browsing = browsing

    def _know_enums(self, types: list[str], bases: list[str]) -> None:
        self._enums = types, bases

    def _page(self, asked: int, found: list[Browsed], more: bool) -> None:
        if asked != self._asked or not self.is_mounted:
            return
        self._loading, self._more = False, more
        first = not self._found
        self._found.update((str(one.model.id), one) for one in found)
        self.rows.empty_text = "nothing found: fewer words or filters may find more"
        self._tell("")
        self._show_list()
        if first:
            self._point()

    def _refused(self, asked: int, error: ModelhubError) -> None:
        if asked != self._asked or not self.is_mounted or isinstance(error, Cancelled):
            return
        self._loading = False
        self.rows.empty_text = ""
        self._tell(error.message, error.hint, "r asks again")
        self._show_list()

    def _tell(self, what: str, *hints: str) -> None:
        """Say in place what went wrong, with what can be done; nothing takes it away."""
        told = self.query_one("#told", Static)
        told.display = bool(what)
        told.update(clean("\n".join((what, " · ".join(filter(None, hints)))).strip(), lines=True))

    def _show_list(self, *, to_top: bool = False) -> None:
        self.rows.show(listing(self._found.values(), self._pulling), to_top=to_top)
        number = f"{len(self._found):,}{'+' if self._more else ''}"
        self.query_one(FilterLine).said = f"{number} found" if self._found else ""

    @on(Rows.Ended, "#found")
    def _near_end(self) -> None:
        if self._more and not self._loading and self._browsing is not None:
            self._loading = True
            self._load_more(self._asked, self._browsing)

    @work(thread=True, group="search", exit_on_error=False)
    def _load_more(self, asked: int, browsing: Browsing) -> None:
        try:
            found = browsing.next_page()
        except ModelhubError as error:
            self.app.call_from_thread(self._refused, asked, error)
            return
        self.app.call_from_thread(self._page, asked, found, browsing.more)

    # The model under the cursor

    @on(Rows.Pointed, "#found")
    def _pointed(self) -> None:
        self._point()

    def _point(self) -> None:
        self.details.show(self.current)

    def on_found_details_chosen(self, event: FoundDetails.Chosen) -> None:
        """Get the picture of another version, once the cursor stands still."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        version = event.version
        self._timer = self.set_timer(_PICTURE_AFTER, lambda: self._get_more(version))

    def _get_more(self, version: Version) -> None:
        found = self.details.found
        if found is not None and self._browsing is not None:
            self._get_places(self._browsing, found)
            self._get_picture(self._browsing, version)

    @work(thread=True, exclusive=True, group="places", exit_on_error=False)
    def _get_places(self, browsing: Browsing, found: Browsed) -> None:
        for version in found.model.versions:
            if version.id in found.here:
                places = browsing.places(version)
                self.app.call_from_thread(self.details.put_places, found.model.id, places)

    @work(thread=True, exclusive=True, group="picture", exit_on_error=False)
    def _get_picture(self, browsing: Browsing, version: Version) -> None:
        try:
            picture, why_not = browsing.picture(version)
        except ModelhubError:
            return
        self.app.call_from_thread(self.details.put_picture, version.id, picture, clean(why_not))

    # What is done

    def action_words(self) -> None:
        """Type words."""
        self.query_one(WordsInput).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.wish = self.wish.changed("words", event.value)
        self.rows.focus()
        self.search()

    def on_filter_line_clicked(self, event: FilterLine.Clicked) -> None:
        """A click on a filter is as good as its key."""
        event.stop()
        self.action_choose(_NAMES[event.key])

    def action_choose(self, name: str) -> None:
        """Set a filter."""
        title, listed = choices(name, *self._enums)

        def chosen(value: str | None) -> None:
            if value is not None and value != getattr(self.wish, name):
                self.wish = self.wish.changed(name, value)
                self.search()

        self.app.push_screen(Chooser(title, listed, getattr(self.wish, name)), chosen)

    def action_again(self) -> None:
        """Ask again: for the page that failed, or from the start."""
        if self._found and self._browsing is not None and not self._loading:
            self._loading = True
            self._tell("")
            self._load_more(self._asked, self._browsing)
        else:
            self.search()

    def action_details(self) -> None:
        """Go into the details."""
        if self.current is None:
            return
        if not self.has_class("beside"):
            self.add_class("alone")
        self.details.query_one(Rows).focus()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """A double click goes into the details; on a file it pulls."""
        event.stop()
        if event.rows.id == "found":
            self.action_details()
        else:
            self.action_pull()

    def action_next_part(self) -> None:
        """From the list to the files, to the facts, and back."""
        if self.rows.has_focus:
            self.action_details()
        elif self.details.query_one(Rows).has_focus:
            self.details.query_one("Facts").focus()
        else:
            self.action_back()

    def action_back(self) -> None:
        """Back to the list."""
        self.remove_class("alone")
        self.rows.focus()

    def action_pull(self) -> None:
        """Pull the file that the details have chosen."""
        from modelhub.services.browse import pull_job

        found, choice = self.details.found, self.details.choice
        if found is None or choice is None:
            self.hub.notify("there is no file of it to pull", severity="warning")
            return
        version, file = choice
        self.hub.enqueue(pull_job(found.model, version, file))
        size = human_size(file.size_bytes)
        text = f"to be pulled: {file.name} ({size}), {version.name} · 3 shows the jobs"
        self.hub.notify(clean(text), markup=False)

    # The jobs

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """Mark what is being pulled, and what is here by now."""
        self._note_pulls()
        for job in changed:
            if job.state is JobState.FAILED and job.kind is JobKind.DOWNLOAD:
                self._tell(f"{job.title}: {job.error}", job.hint)
        if any(job.state.ended and job.kind is JobKind.DOWNLOAD for job in changed):
            self._look_again()
        self._show_list()

    def shown(self) -> None:
        """Jobs may have ended while another screen was shown."""
        if self._found:
            self._note_pulls()
            self._look_again()

    def _note_pulls(self) -> None:
        from modelhub.services.browse import pulled_version

        jobs = (job for job in self.hub.board.jobs.values() if not job.state.ended)
        self._pulling = frozenset(filter(None, map(pulled_version, jobs)))

    def _look_again(self) -> None:
        if self._browsing is not None:
            self._describe(self._asked, self._browsing, list(self._found.values()))

    @work(thread=True, exclusive=True, group="here", exit_on_error=False)
    def _describe(self, asked: int, browsing: Browsing, found: list[Browsed]) -> None:
        try:
            again = [browsing.described(one.model) for one in found]
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._described, asked, again)

    def _described(self, asked: int, again: list[Browsed]) -> None:
        if asked != self._asked or not self.is_mounted:
            return
        self._found.update((str(one.model.id), one) for one in again)
        self._show_list()
        found = self.current
        self.details.show(found)
        if found is not None and found.here and self._browsing is not None:
            self._get_places(self._browsing, found)
