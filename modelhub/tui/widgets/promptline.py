"""A question in one line above the keys: asked in place, answered with Enter, left with Escape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from modelhub.text import clean

LONGEST = 4_000


class PromptLine(Horizontal):
    """Hidden until something is asked."""

    DEFAULT_CSS = """
    PromptLine { height: 1; width: 1fr; background: $panel; display: none; }
    PromptLine > Static { width: auto; color: $accent; text-style: bold; padding: 0 1; }
    PromptLine > Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    PromptLine > .hint { color: $text-muted; text-style: none; }
    """
    BINDING_GROUP_TITLE = "Question"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave", priority=True)]

    def __init__(self) -> None:
        super().__init__()
        self._answered: Callable[[str], None] | None = None
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        """Question, answer, hint."""
        yield Static("", markup=False)
        yield Input(compact=True, max_length=LONGEST)
        yield Static("", classes="hint", markup=False)

    def ask(
        self,
        question: str,
        answered: Callable[[str], None],
        *,
        value: str = "",
        hint: str = "",
        known: Sequence[str] = (),
        password: bool = False,
    ) -> None:
        """Ask; `answered` gets the answer, unless the user leaves.

        :param known: answers that are proposed while one is typed.
        :param password: do not show what is typed.
        """
        self._before = self.screen.focused
        self._answered = answered
        self.query(Static).first().update(clean(question))
        self.query_one(".hint", Static).update(hint)
        line = self.query_one(Input)
        line.password = password
        line.value = value
        line.cursor_position = len(value)
        line.suggester = SuggestFromList(known, case_sensitive=False) if known else None
        self.display = True
        line.focus()

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        answered = self._answered
        text = event.value.strip()
        self._close()
        if answered is not None:
            answered(text)

    def action_leave(self) -> None:
        """Answer nothing."""
        self._close()

    def _close(self) -> None:
        self._answered = None
        self.display = False
        self.query_one(Input).value = ""
        if self._before is not None and self._before.is_mounted:
            self._before.focus()
