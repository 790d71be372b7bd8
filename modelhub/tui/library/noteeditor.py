"""Where a note is written: imported when one is, since an editor of text takes long to import."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

LONGEST_NOTE = 100_000


class NoteEditor(TextArea):
    """Where a note is written; kept with Ctrl+S."""

    BINDING_GROUP_TITLE = "Note"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "keep", priority=True),
        Binding("escape", "drop", "leave as it was", priority=True),
    ]

    class Done(Message):
        """The user is done with the note; `text` is None where it stays as it was."""

        def __init__(self, text: str | None) -> None:
            super().__init__()
            self.text = text

    def action_keep(self) -> None:
        """Keep what was written."""
        self.post_message(self.Done(self.text[:LONGEST_NOTE]))

    def action_drop(self) -> None:
        """Leave the note as it was."""
        self.post_message(self.Done(None))
