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


def key_lines(screen: Screen[Any]) -> list[Content]:
    """The keys of `screen` and of what has the focus on it, a line each, under headings."""
    groups: dict[str, dict[tuple[str, str], list[str]]] = {}
    for node, binding, _, tooltip in screen.active_bindings.values():
        text = tooltip or binding.description
        if text:
            heading = getattr(node, "BINDING_GROUP_TITLE", None) or type(node).__name__
            keys = groups.setdefault(heading, {}).setdefault((text, binding.action), [])
            keys.append(screen.app.get_key_display(binding))
    lines: list[Content] = []
    for heading, entries in groups.items():
        lines += [Content(""), Content.styled(heading, "bold $primary")]
        for (text, _), keys in entries.items():
            shown = " ".join(dict.fromkeys(keys))
            gap = " " * max(1, 14 - cell_width(shown))
            lines.append(Content.assemble((f"  {shown}", "bold $accent"), gap, text))
    return lines[1:]
