"""The list itself: lines are drawn when they are on screen, from the rows that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from modelhub.text import clean, pad, shorten
from modelhub.tui.library.columns import USUAL, Placed, placed
from modelhub.tui.library.window import RowWindow
from modelhub.tui.widgets.cursorkeys import CURSOR_KEYS

if TYPE_CHECKING:
    from modelhub.catalog import FileRow

MARGIN = 4
"""Before the first column: the mark of the selection, and the sign of the state."""


def sign_of(row: FileRow, *, newer: bool) -> str:
    """One character for what is out of the ordinary; the State column says it in words."""
    if row.state == "missing":
        return "∅"
    if row.unsafe or row.fault or row.state == "quarantined":
        return "⚠"
    if newer:
        return "↑"
    if row.sha256 is None or row.state == "changed":
        return "◌"
    return "=" if row.copies > 1 else " "


class FileTable(ScrollView, can_focus=True):
    """Rows of files, of which it holds only those around what is on screen.

    It asks for what it lacks by :class:`Wanted`; the screen answers by :meth:`put`.
    """

    DEFAULT_CSS = """
    FileTable { height: 1fr; width: 1fr; background: $background; overflow-x: hidden;
        scrollbar-size: 0 1; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "filetable--row",
        "filetable--cursor",
        "filetable--blurred",
        "filetable--selected",
        "filetable--muted",
        "filetable--warning",
    }
    BINDING_GROUP_TITLE = "List"
    BINDINGS: ClassVar[list[BindingType]] = [
        *CURSOR_KEYS,
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("space", "mark", "select", tooltip="Select the file, or not"),
    ]
    cursor: reactive[int] = reactive(0)

    class Wanted(Message):
        """Rows on screen are not known: these pages would tell."""

        def __init__(self, pages: list[int]) -> None:
            super().__init__()
            self.pages = pages

    class Pointed(Message):
        """The cursor stands on another row, or on none."""

        def __init__(self, row: FileRow | None) -> None:
            super().__init__()
            self.row = row

    class Marked(Message):
        """The selection changed."""

    class Opened(Message):
        """A row was double-clicked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.window = RowWindow()
        self.chosen: tuple[str, ...] = USUAL
        self.marked: dict[int, FileRow] = {}
        """The selected files, by their id."""
        self.newer: set[int] = set()
        """Ids of those rows for which a newer version is known."""
        self.empty_text = ""
        self._pointed: int | None = None

    # What is shown

    def reset(self, window: RowWindow, *, keep_place: bool) -> None:
        """Show another listing; the cursor goes to the top, or stays where it is."""
        self.window = window
        if not keep_place:
            self.cursor = 0
            self.scroll_to(0, 0, animate=False, force=True)
        self._measure()
        self._tell()

    def put(self, page: int, rows: list[FileRow]) -> None:
        """Take in a page of the listing that is shown."""
        self.window.put(page, rows)
        self._measure()
        self._tell()

    def set_total(self, total: int) -> None:
        """How many rows there are, once counted."""
        self.window.total = total
        self._measure()
        self._tell()

    def _measure(self) -> None:
        known = self.window.known
        if self.cursor >= known:
            self.cursor = max(0, known - 1)
        self.virtual_size = Size(self.size.width, known)
        self.refresh()
        self._want()

    def _want(self) -> None:
        top = int(self.scroll_offset.y)
        missing = self.window.missing(top, top + max(1, self.size.height))
        if missing and (self.window.total is None or self.window.total):
            self.post_message(self.Wanted(missing))

    def _tell(self) -> None:
        row = self.current
        number = row.id if row else None
        if number != self._pointed:
            self._pointed = number
            self.post_message(self.Pointed(row))

    @property
    def current(self) -> FileRow | None:
        """The row under the cursor, if it is known."""
        return self.window.row(self.cursor)

    def on_resize(self, event: Resize) -> None:
        """Other columns may fit now."""
        self._measure()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Ask for what came on screen."""
        super().watch_scroll_y(old, new)
        if int(old) != int(new):
            self._want()

    def columns(self) -> list[Placed]:
        """The columns that are shown, with their places."""
        return placed(self.chosen, self.scrollable_content_region.width, MARGIN)

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.scrollable_content_region.width
        index = int(self.scroll_offset.y) + y
        base = self.get_component_rich_style("filetable--row")
        if index >= self.window.known:
            text = f"  {self.empty_text}" if index == 0 and not self.window.known else ""
            return Strip([Segment(pad(shorten(text, width), width), base)], width)
        row = self.window.row(index)
        if row is None:
            return Strip([Segment(pad("    …", width), base)], width)
        style = base + self._style_of(row, index)
        return self._line(row, style, width)

    def _style_of(self, row: FileRow, index: int) -> Style:
        style = Style()
        if row.state == "missing":
            style += self.get_component_rich_style("filetable--muted")
        if row.id in self.marked:
            style += self.get_component_rich_style("filetable--selected")
        if index == self.cursor:
            name = "filetable--cursor" if self.has_focus else "filetable--blurred"
            style += self.get_component_rich_style(name)
        return style

    def _line(self, row: FileRow, style: Style, width: int) -> Strip:
        sign = sign_of(row, newer=row.id in self.newer)
        mark = "✓" if row.id in self.marked else " "
        sign_style = style
        if sign in "⚠↑" and not style.bgcolor:
            sign_style += self.get_component_rich_style("filetable--warning")
        segments = [Segment(f"{mark} ", style), Segment(f"{sign} ", sign_style)]
        for place in self.columns():
            column = place.column
            text = shorten(clean(column.cell(row)), place.width, middle=column.key == "name")
            segments.append(Segment(pad(text, place.width, right=column.right) + " ", style))
        return Strip(segments).adjust_cell_length(width, style)

    # Moving

    def watch_cursor(self, old: int, new: int) -> None:
        """Keep the cursor on screen, and tell where it is."""
        if not self.is_mounted:
            return
        self.scroll_to_region(
            Region(0, new, 1, 1), animate=False, force=True, immediate=True, x_axis=False
        )
        top = int(self.scroll_offset.y)
        for index in (old, new):
            if top <= index < top + self.size.height:
                self.refresh(Region(0, index - top, self.size.width, 1))
        self._tell()

    def _go(self, index: int) -> None:
        self.cursor = max(0, min(index, self.window.known - 1))

    def action_move(self, by: int) -> None:
        """Up or down."""
        self._go(self.cursor + by)

    def action_page(self, pages: float) -> None:
        """Pages, or half ones, up or down."""
        self._go(self.cursor + int(pages * max(1, self.size.height - 1)))

    def action_first(self) -> None:
        """To the first row."""
        self._go(0)

    def action_last(self) -> None:
        """To the last row."""
        self._go(self.window.known - 1)

    # Selecting

    def action_mark(self) -> None:
        """Select the row, or take it out of the selection, and go on to the next."""
        row = self.current
        if row is None:
            return
        self._toggle(row)
        self.action_move(1)

    def _toggle(self, row: FileRow) -> None:
        if self.marked.pop(row.id, None) is None:
            self.marked[row.id] = row
        self.refresh()
        self.post_message(self.Marked())

    def unmark(self) -> None:
        """Select nothing."""
        if self.marked:
            self.marked.clear()
            self.refresh()
            self.post_message(self.Marked())

    def on_click(self, event: Click) -> None:
        """Go to the row; Ctrl selects it, Shift selects up to it, twice opens it."""
        index = int(self.scroll_offset.y) + event.y
        if index >= self.window.known:
            return
        before, self.cursor = self.cursor, index
        row = self.current
        if row is None:
            return
        if event.ctrl or event.x < 2:
            self._toggle(row)
        elif event.shift:
            between = range(min(before, index), max(before, index) + 1)
            rows = [found for found in map(self.window.row, between) if found]
            self.marked.update((found.id, found) for found in rows)
            self.refresh()
            self.post_message(self.Marked())
        elif event.chain == 2:
            self.post_message(self.Opened())

    def on_focus(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()


class TableHead(Widget):
    """The titles of a table's columns; a click sorts by one.

    :param table: whose titles.
    """

    DEFAULT_CSS = """
    TableHead { height: 1; width: 1fr; background: $surface; color: $text-muted; text-style: bold; }
    """
    sort: reactive[str] = reactive("name")
    """The order, as ``--sort`` names it; a minus stands for its reverse."""
    selected: reactive[int] = reactive(0)
    """How many files are selected."""

    class Sorted(Message):
        """A title was clicked."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    def __init__(self, table: FileTable) -> None:
        super().__init__()
        self._table = table

    def on_mount(self) -> None:
        """Follow the width of the table."""
        for name in ("show_vertical_scrollbar", "virtual_size"):
            self.watch(self._table, name, self._follow, init=False)

    def _follow(self) -> None:
        self.call_after_refresh(self.refresh)

    def render(self) -> Content:
        """The titles, with an arrow at the one that is sorted by."""
        text = pad(f"✓{self.selected}" if self.selected else "", MARGIN)
        for place in self._table.columns():
            title = place.column.title
            if place.column.sort and place.column.sort == self.sort.removeprefix("-"):
                title = f"{title[: place.width - 1]}{self._arrow()}"
            text += pad(shorten(title, place.width), place.width, right=place.column.right) + " "
        return Content(text)

    def _arrow(self) -> str:
        from modelhub.catalog.sorting import Sort

        return "▾" if Sort.parse(self.sort).descending else "▴"

    def on_click(self, event: Click) -> None:
        """Sort by the column, or the other way round."""
        for place in self._table.columns():
            if place.start <= event.x <= place.start + place.width and place.column.sort:
                same = place.column.sort == self.sort
                self.post_message(self.Sorted(f"-{self.sort}" if same else place.column.sort))
