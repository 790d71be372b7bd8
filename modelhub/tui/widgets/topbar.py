"""The line at the top: which screens there are, which one this is, how large the library is."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.text import cell_width
from modelhub.tui.sections import SECTIONS


@dataclass(frozen=True, slots=True)
class _Tab:
    name: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + cell_width(self.text)


class TopBar(Widget):
    """One line; a click on a name shows that screen.

    :param here: the section that it stands above.
    """

    DEFAULT_CSS = """
    TopBar { height: 1; width: 1fr; background: $panel; color: $foreground; }
    """
    library: reactive[str] = reactive("")
    """What stands at the right: files and bytes."""
    at_work: reactive[int] = reactive(0)
    """Jobs that run or wait."""

    def __init__(self, here: str) -> None:
        super().__init__()
        self.here = here

    def render(self) -> Content:
        """The names, this one's marked by its style and by brackets."""
        width = self.size.width
        tabs = self._tabs(width)
        parts: list[Content | tuple[str, str]] = []
        if tabs and tabs[0].start:
            parts.append((" modelhub ", "bold $primary"))
        for tab in tabs:
            here = tab.name == self.here
            parts.append((tab.text, "bold reverse" if here else ""))
        used = tabs[-1].end if tabs else 0
        gap = width - used - cell_width(self.library) - 1
        if self.library and gap >= 1:
            parts.append((" " * gap + self.library, "$foreground 60%"))
        return Content.assemble(*parts)

    def _tabs(self, width: int) -> list[_Tab]:
        texts = {name: f" {entry.key} {entry.title} " for name, entry in SECTIONS.items()}
        if self.at_work:
            texts["jobs"] = f" {SECTIONS['jobs'].key} {SECTIONS['jobs'].title} {self.at_work}▼ "
        room = width - sum(map(cell_width, texts.values()))
        start = 10 if room >= 10 else 0
        tabs = []
        for name, text in texts.items():
            tabs.append(_Tab(name, text, start))
            start = tabs[-1].end
        return tabs

    async def on_click(self, event: Click) -> None:
        """Show the screen whose name was clicked."""
        for tab in self._tabs(self.size.width):
            if tab.start <= event.x < tab.end:
                await self.run_action(f"app.section('{tab.name}')")
