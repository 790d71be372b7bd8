"""Where the words of a search are typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from modelhub.tui.widgets.rows import Rows

LONGEST_WORDS = 500


class WordsInput(Input):
    """The words that are searched for."""

    BINDING_GROUP_TITLE = "Words"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,down", "leave", "to the list", priority=True)
    ]

    def action_leave(self) -> None:
        """To the list."""
        self.screen.query_one("#found", Rows).focus()
