"""`?`: the keys that work on the screen below."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from modelhub.text import cell_width


class HelpScreen(ModalScreen[None]):
    """A list of keys, by where they work.

    :param below: the screen whose keys are listed.
    """

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 72; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    HelpScreen Static { width: 1fr; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "close"),
        Binding("j", "scroll('down')", show=False),
        Binding("k", "scroll('up')", show=False),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._lines = key_lines(below)

    def compose(self) -> ComposeResult:
        """The list."""
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield Static(Content("\n").join(self._lines))

    def action_scroll(self, way: str) -> None:
        """Scroll as vi does."""
        box = self.query_one(VerticalScroll)
        (box.scroll_down if way == "down" else box.scroll_up)()


_LEFT_OUT = ("scroll_left", "scroll_right", "page_left", "page_right", "screen.copy_text")
"""Actions of Textual's own that a list of keys is easier to read without."""
_NAMED = {"app.focus_next": "Next pane", "app.focus_previous": "Previous pane"}


def key_lines(screen: Screen[Any]) -> list[Content]:
    """The keys of `screen` and of what has the focus on it, a line each, under headings: first
    those of the screen, last those that work everywhere."""
    groups: dict[Any, dict[tuple[str, str], list[str]]] = {}
    for node, binding, _, tooltip in screen.active_bindings.values():
        text = tooltip or _NAMED.get(binding.action, binding.description)
        if text and binding.action not in _LEFT_OUT:
            keys = groups.setdefault(node, {}).setdefault((text, binding.action), [])
            keys.append(screen.app.get_key_display(binding))
    lines: list[Content] = []
    for node in sorted(groups, key=lambda node: (node is screen.app, node is not screen)):
        heading = getattr(node, "BINDING_GROUP_TITLE", None) or type(node).__name__
        lines += [Content(""), Content.styled(heading, "bold $primary")]
        for (text, _), keys in groups[node].items():
            shown = " ".join(dict.fromkeys(keys))
            gap = " " * max(1, 14 - cell_width(shown))
            lines.append(Content.assemble((f"  {shown}", "bold $accent"), gap, text))
    return lines[1:]
