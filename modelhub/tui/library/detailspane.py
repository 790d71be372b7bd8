"""The details of the file under the cursor: picture, facts, and the note to be edited in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from modelhub.tui.library.detailtext import body, heading
from modelhub.tui.widgets.picture import Picture

if TYPE_CHECKING:
    from modelhub.services.about import About
    from modelhub.tui.library.noteeditor import NoteEditor


class DetailsPane(VerticalScroll):
    """A pane that scrolls."""

    DEFAULT_CSS = """
    DetailsPane {
        width: 46; height: 1fr; padding: 0 1; border-left: vkey $panel; background: $background;
        scrollbar-size-vertical: 1;
    }
    DetailsPane:focus { border-left: vkey $primary; }
    DetailsPane > .heading { height: auto; }
    DetailsPane > Picture { max-height: 16; margin: 1 0 0 0; }
    DetailsPane > .facts { height: auto; margin: 1 0; }
    DetailsPane > NoteEditor { height: 8; border: round $accent; }
    """
    BINDING_GROUP_TITLE = "Details"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.about: About | None = None
        self._editor: NoteEditor | None = None

    def compose(self) -> ComposeResult:
        """Heading, picture, the note's editor, facts."""
        yield Static("", classes="heading", markup=False)
        yield Picture()
        yield Static("", classes="facts", markup=False)

    def show(self, about: About, *, newer: bool) -> None:
        """Show another file, from its top, or the same one anew."""
        same = self.about is not None and self.about.details.row.id == about.details.row.id
        self.about = about
        self.query_one(".heading", Static).update(heading(about.details))
        self.query_one(".facts", Static).update(body(about, newer=newer))
        picture = self.query_one(Picture)
        picture.show(about.preview, about.hidden)
        picture.display = about.preview is not None or bool(about.hidden)
        if not same:
            self.close_note()
            self.scroll_home(animate=False)

    def clear(self, text: str = "") -> None:
        """Show no file."""
        self.about = None
        self.query_one(".heading", Static).update(text)
        self.query_one(".facts", Static).update("")
        self.query_one(Picture).display = False
        self.close_note()

    async def edit_note(self) -> None:
        """Let the note be written."""
        from modelhub.tui.library.noteeditor import NoteEditor

        if self.about is None:
            return
        if self._editor is None:
            self._editor = NoteEditor(soft_wrap=True, tab_behavior="focus")
            self._editor.border_title = "Note"
            self._editor.border_subtitle = "^s keeps · esc leaves"
            await self.mount(self._editor, after=0)
        self._editor.load_text(self.about.details.note or "")
        self._editor.display = True
        self._editor.focus()
        self.scroll_home(animate=False)

    def close_note(self) -> None:
        """The note is written, or stays as it was."""
        if self._editor is not None:
            self._editor.display = False
