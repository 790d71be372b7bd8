"""The line of filters: what each is set to, and the key that changes it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.text import cell_width, clean, shorten


class FilterLine(Widget):
    """One line; a click on a filter is as good as its key."""

    DEFAULT_CSS = """
    FilterLine { height: 1; width: 1fr; background: $surface; }
    """
    filters: reactive[Sequence[tuple[str, str]]] = reactive(())
    """Of each, its key and what it says."""
    said: reactive[str] = reactive("")
    """What stands at the right: how many were found."""

    class Clicked(Message):
        """A filter was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def render(self) -> Content:
        """The filters, and at the right what was found."""
        parts: list[tuple[str, str]] = []
        used = 0
        for _, text, shown in self._places():
            parts += [(f" {shown}", "bold $accent"), (f" {text} ", "")]
            used += cell_width(text) + 4
        gap = self.size.width - used - cell_width(self.said) - 1
        if self.said and gap >= 1:
            parts.append((" " * gap + self.said, "$foreground 65%"))
        return Content.assemble(*parts)

    def _places(self) -> list[tuple[int, str, str]]:
        """Where each filter begins, its text as there is room for it, and its key."""
        filters = [(key, clean(text)) for key, text in self.filters]
        if not filters:
            return []
        room = self.size.width // len(filters) - 4
        spare = self.size.width - sum(cell_width(text) + 4 for _, text in filters)
        at, found = 0, []
        for key, text in filters:
            shown = text if spare >= 0 else shorten(text, max(room, 4))
            found.append((at, shown, key))
            at += cell_width(shown) + 4
        return found

    def on_click(self, event: Click) -> None:
        """Tell which one was clicked."""
        for at, text, key in self._places():
            if at <= event.x < at + cell_width(text) + 3:
                self.post_message(self.Clicked(key))
