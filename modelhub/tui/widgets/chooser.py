"""One of several values, chosen from a list that what is typed makes shorter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from modelhub.text import clean

Choice = tuple[str, str]
"""A value, and what the list calls it."""


class Chooser(ModalScreen[str | None]):
    """Enter takes the value under the cursor, Escape none.

    :param title: what is chosen.
    :param choices: in the order in which they are listed.
    :param chosen: the value that is in effect.
    """

    DEFAULT_CSS = """
    Chooser { align: center middle; }
    Chooser > Vertical {
        width: 64; max-width: 100%; height: auto; max-height: 80%; background: $surface;
        border: round $primary; padding: 0 1;
    }
    Chooser Input { height: 1; border: none; padding: 0; background: $surface; }
    Chooser OptionList {
        height: auto; max-height: 18; border: none; padding: 0; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", priority=True),
        Binding("down,ctrl+n", "move('down')", show=False, priority=True),
        Binding("up,ctrl+p", "move('up')", show=False, priority=True),
        Binding("enter", "take", "take", priority=True),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], chosen: str = "") -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, choices, chosen
        self._listed: list[Choice] = []

    def compose(self) -> ComposeResult:
        """What is typed, and the list."""
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "type to narrow · enter takes · esc closes"
            yield Input(placeholder="narrow", max_length=200, compact=True)
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        """All of them at first."""
        self._fill("")
        self.query_one(OptionList).can_focus = False

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, typed: str) -> None:
        words = typed.casefold().split()
        self._listed = [
            choice
            for choice in self._choices
            if all(word in choice[1].casefold() for word in words)
        ]
        found = self.query_one(OptionList)
        found.clear_options()
        found.add_options(
            Option(f"{'●' if value == self._chosen else ' '} {clean(text)}")
            for value, text in self._listed
        )
        values = [value for value, _ in self._listed]
        if values:
            found.highlighted = values.index(self._chosen) if self._chosen in values else 0

    def action_move(self, way: str) -> None:
        """Up or down."""
        found = self.query_one(OptionList)
        (found.action_cursor_down if way == "down" else found.action_cursor_up)()

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._listed[event.option_index][0])

    def action_take(self) -> None:
        """Take the value under the cursor."""
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._listed):
            self.dismiss(self._listed[at][0])

    def action_leave(self) -> None:
        """Take none."""
        self.dismiss(None)
