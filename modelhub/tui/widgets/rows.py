"""A list of lines with a cursor: only what is on screen is drawn, whatever the length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from modelhub.text import cell_width, shorten
from modelhub.tui.widgets.cursorkeys import CURSOR_KEYS

Piece = tuple[str, str]
"""Text, and how it looks: ``""``, ``muted``, ``strong``, ``good``, ``warning``, ``error``,
``accent``, ``head``."""
LOOKS = ("muted", "strong", "good", "warning", "error", "accent", "head")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list.

    :param key: what it is of; empty for a heading, on which the cursor never stands.
    :param draw: gives its pieces for a width; called whenever it is drawn.
    """

    key: str
    draw: Callable[[int], Sequence[Piece]]


def heading(text: str) -> Row:
    """A line that the cursor passes over."""
    return Row("", lambda width: [(shorten(text, width), "head")])


class Rows(ScrollView, can_focus=True):
    """The list; its cursor stays with the row that it is on when the rows change."""

    DEFAULT_CSS = """
    Rows {
        height: 1fr; width: 1fr; background: $background; overflow-x: hidden;
        scrollbar-size: 0 1;
        & > .rows--row { background: $background; color: $foreground; }
        & > .rows--cursor { background: $primary; color: $background; text-style: bold; }
        & > .rows--blurred { background: $panel; color: $foreground; }
        & > .rows--muted { background: $background; color: $foreground 65%; }
        & > .rows--strong { text-style: bold; }
        & > .rows--good { color: $success; }
        & > .rows--warning { color: $warning; }
        & > .rows--error { color: $error; text-style: bold; }
        & > .rows--accent { color: $accent; }
        & > .rows--head { background: $background; color: $foreground 65%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--row",
        "rows--cursor",
        "rows--blurred",
        *(f"rows--{look}" for look in LOOKS),
    }
    BINDING_GROUP_TITLE = "List"
    BINDINGS: ClassVar[list[BindingType]] = [
        *CURSOR_KEYS,
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(-1)", "Last", show=False),
    ]
    cursor: reactive[int] = reactive(0)

    class Pointed(Message):
        """The cursor stands on another row; an empty key: on none."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> Rows:
            """The list."""
            return self.rows

    class Opened(Message):
        """A row was double-clicked."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> Rows:
            """The list."""
            return self.rows

    class Ended(Message):
        """The cursor came near the last row: there may be more to ask for."""

        def __init__(self, rows: Rows) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> Rows:
            """The list."""
            return self.rows

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row] = ()
        self._told = ""
        self.active = False
        """Whether the cursor looks as with the focus although something else has it."""
        self.empty_text = ""
        """What stands there while there are no rows."""

    # What is shown

    @property
    def key(self) -> str:
        """Of the row under the cursor; empty where there is none."""
        return self._rows[self.cursor].key if self.cursor < len(self._rows) else ""

    @property
    def keys(self) -> list[str]:
        """Of all rows, in their order; headings aside."""
        return [row.key for row in self._rows if row.key]

    def show(self, rows: Sequence[Row], *, to_top: bool = False) -> None:
        """Show other rows; the cursor stays on its row, if that is still there, or near it."""
        key = "" if to_top else self.key
        self._rows = rows
        places = {row.key: index for index, row in enumerate(rows) if row.key}
        wanted = places.get(key, 0 if to_top else self.cursor)
        self.virtual_size = Size(self.size.width, len(rows))
        self.cursor = self._nearest(wanted, 1)
        if to_top:
            self.scroll_to(0, 0, animate=False, force=True)
        self.refresh()
        self._tell()

    def redraw(self) -> None:
        """Draw the rows again: what they draw has changed, not which there are."""
        self.refresh()

    def go_to(self, key: str) -> None:
        """Put the cursor on a row."""
        for index, row in enumerate(self._rows):
            if row.key == key:
                self.cursor = index
                return

    def _nearest(self, index: int, way: int) -> int:
        """The place of the next row that is no heading, looking in one direction first."""
        last = len(self._rows) - 1
        index = max(0, min(index, last))
        for step in (way, -way):
            at = index
            while 0 <= at <= last:
                if self._rows[at].key:
                    return at
                at += step
        return 0

    def _tell(self) -> None:
        if self.key != self._told:
            self._told = self.key
            self.post_message(self.Pointed(self, self.key))

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.scrollable_content_region.width
        index = int(self.scroll_offset.y) + y
        base = self.get_component_rich_style("rows--row")
        if index >= len(self._rows):
            first = index == 0
            muted = base + self._look("muted")
            text = f" {self.empty_text}" if first else ""
            return _filled([Segment(shorten(text, width), muted)], width, base)
        row = self._rows[index]
        here = bool(row.key) and index == self.cursor
        if here:
            name = "rows--cursor" if self.has_focus or self.active else "rows--blurred"
            base = self.get_component_rich_style(name)
        segments, used = [], 0
        for text, look in row.draw(width):
            style = base
            # On the cursor's line one colour is read more easily than several on another ground.
            if look and not (here and (self.has_focus or self.active)):
                style = base + self._look(look)
            segments.append(Segment(shorten(text, width - used), style))
            used += cell_width(text)
            if used >= width:
                break
        return _filled(segments, width, base)

    def _look(self, look: str) -> Style:
        """How a piece looks, whatever it stands on."""
        style = self.get_component_rich_style(f"rows--{look}")
        return Style(color=style.color, bold=style.bold)

    def on_resize(self, event: Resize) -> None:
        """Lines have another width now."""
        self.virtual_size = Size(event.size.width, len(self._rows))
        self.call_after_refresh(self._keep_on_screen)

    def on_focus(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()

    # Moving

    def watch_cursor(self, old: int, new: int) -> None:
        """Keep the cursor on screen, and tell where it is."""
        if not self.is_mounted:
            return
        self._keep_on_screen()
        self.refresh()
        self._tell()
        if new >= len(self._rows) - 3 and new > old:
            self.post_message(self.Ended(self))

    def _keep_on_screen(self) -> None:
        # A heading right above the cursor is shown with it.
        above = self.cursor and not self._rows[self.cursor - 1].key if self._rows else False
        region = Region(0, self.cursor - bool(above), 1, 1 + bool(above))
        self.scroll_to_region(region, animate=False, force=True, immediate=True, x_axis=False)

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.cursor = self._nearest(self.cursor + by, 1 if by > 0 else -1)

    def action_page(self, pages: float) -> None:
        """Pages, or half ones, up or down."""
        self.action_move(int(pages * max(1, self.size.height - 1)))

    def action_edge(self, index: int) -> None:
        """To the first row, or the last."""
        self.cursor = self._nearest(index % max(1, len(self._rows)), -1 if index else 1)

    def on_click(self, event: Click) -> None:
        """Go to the row; twice opens it."""
        index = int(self.scroll_offset.y) + event.y
        if index < len(self._rows) and self._rows[index].key:
            self.cursor = index
            if event.chain == 2:
                self.post_message(self.Opened(self, self.key))


def _filled(segments: list[Segment], width: int, style: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, style)
