"""The Library screen: filter, facets, list, details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize

from modelhub.errors import ModelhubError
from modelhub.tui.library.actions import LibraryActions
from modelhub.tui.library.columns import USUAL
from modelhub.tui.library.detailspane import DetailsPane
from modelhub.tui.library.facetpane import FacetPane
from modelhub.tui.library.filterbar import FilterBar
from modelhub.tui.library.table import FileTable, TableHead
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from modelhub.catalog import FileRow
    from modelhub.services.jobs.model import Job

ALL_THREE = 140
"""Columns of the terminal from which facets and details stand beside the list."""
BOTH = 110
"""And from which the details do."""
SORTS = ("name", "added", "-added", "size", "-size", "rating", "type", "base", "path")
MOST_SELECTED = 20_000


class LibraryScreen(LibraryActions):
    """What is on this disk."""

    section = "library"
    BINDING_GROUP_TITLE = "Library"
    CSS = """
    LibraryScreen #panes { height: 1fr; }
    LibraryScreen #list { width: 1fr; height: 1fr; }
    LibraryScreen.details-only #list { display: none; }
    LibraryScreen.details-only DetailsPane { width: 1fr; border-left: none; }
    FileTable > .filetable--row { background: $background; color: $foreground; }
    FileTable > .filetable--cursor { background: $primary; color: $background; text-style: bold; }
    FileTable > .filetable--blurred { background: $panel; color: $foreground; }
    FileTable > .filetable--selected { color: $accent; text-style: bold; }
    FileTable > .filetable--muted { color: $text-muted; text-style: italic; }
    FileTable > .filetable--warning { color: $warning; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/", tooltip="Type a filter"),
        Binding("t", "tag", "tag", tooltip="Put tags on, or take them off"),
        Binding("c", "convert", "convert", tooltip="Convert the files"),
        Binding("r", "render", "render", tooltip="Render with the files"),
        Binding("y", "copy_words", "copy trigger", tooltip="Copy the trigger words"),
        Binding("u", "update", "update", tooltip="Pull the newest version, or ask for it"),
        Binding("d,delete", "trash", "trash", tooltip="Move to the trash"),
        Binding("z", "undo", "undo", show=False, tooltip="Take back the last trash or move"),
        Binding("asterisk", "rate", "rate", key_display="*", tooltip="Rate from 1 to 5"),
        Binding("n", "note", "note", show=False, tooltip="Write a note"),
        Binding("v", "verify", "verify", show=False, tooltip="Read again, and compare"),
        Binding("m", "move", "move", show=False, tooltip="Move into the layout"),
        Binding("Y", "copy_path", "copy path", show=False, tooltip="Copy the path"),
        Binding("U", "updates", "updates", show=False, tooltip="Ask for updates of all"),
        Binding("i", "index", "index", show=False, tooltip="Bring the catalog in step"),
        Binding("f", "facets", "facets", tooltip="Show or hide the facets"),
        Binding("enter", "details", "details", tooltip="Show the details, or go into them"),
        Binding("a", "mark_all", "select all", show=False, tooltip="Select all that was found"),
        Binding("s", "sort", "sort", show=False, tooltip="Sort by something else"),
        Binding("S", "reverse", "reverse", show=False, tooltip="Sort the other way round"),
        Binding("o", "columns", "columns", show=False, tooltip="Choose the columns"),
        Binding("b", "searches", "saved searches", show=False, tooltip="Saved searches"),
        Binding("B", "save_search", "save search", show=False, tooltip="Save this search"),
        Binding("ctrl+g", "guide", "guide", show=False, tooltip="The guide of the first run"),
        Binding("ctrl+l", "clear", "clear filter", show=False, tooltip="Show everything"),
        Binding("ctrl+r", "reload", "reload", show=False, tooltip="Ask the catalog again"),
        Binding("escape", "back", "back", show=False, tooltip="Close a pane, select nothing"),
    ]

    def compose_body(self) -> ComposeResult:
        """Filter, panes, and the line in which something is asked."""
        remembered = self.session.remembered
        table = FileTable()
        table.chosen = tuple(remembered.columns) or USUAL
        head = TableHead(table)
        head.sort = remembered.sort
        yield FilterBar(remembered.query)
        with Horizontal(id="panes"):
            yield FacetPane()
            with Vertical(id="list"):
                yield head
                yield table
            yield DetailsPane()
        yield PromptLine()

    def on_mount(self) -> None:
        """Nothing waits for the rows."""
        self._narrow_pane = ""
        self._arrange(self.size.width)
        self.table.focus()
        self.call_after_refresh(self.reload, keep_place=False)

    def shown(self) -> None:
        """Rows may have changed meanwhile."""
        if self._asked:
            self.reload()

    def jobs_changed(self, changed: Sequence[Job]) -> None:
        """What ended may have changed the library."""
        if any(job.state.ended for job in changed):
            self.values_changed()

    # The panes

    def on_resize(self, event: Resize) -> None:
        """Fold away what has no room."""
        self._arrange(event.size.width)

    def _arrange(self, width: int) -> None:
        remembered = self.session.remembered
        facets = remembered.facets and width >= ALL_THREE
        details = remembered.details and width >= BOTH
        if not facets:
            facets = self._narrow_pane == "facets"
        alone = not details and self._narrow_pane == "details"
        before = (self.facets.display, self.details.display)
        self.facets.display = facets
        self.details.display = details or alone
        self.set_class(alone, "details-only")
        if facets and not before[0] and self._asked:
            self.count_facets()
        if self.details.display and not before[1]:
            self.point_again()

    def action_facets(self) -> None:
        """Show the facets, go to them, or hide them."""
        remembered = self.session.remembered
        wide = self.size.width >= ALL_THREE
        if self.facets.display:
            if wide:
                remembered.facets = False
            self._narrow_pane = ""
            self._arrange(self.size.width)
            self.table.focus()
            return
        if wide:
            remembered.facets = True
        else:
            self._narrow_pane = "facets"
        self._arrange(self.size.width)
        self.facets.focus()

    def action_details(self) -> None:
        """Show the details, or go into them."""
        if self.table.current is not None:
            self.show_details(focus=True)

    def show_details(self, *, focus: bool) -> None:
        """Show the details pane."""
        if not self.details.display:
            if self.size.width >= BOTH:
                self.session.remembered.details = True
            else:
                self._narrow_pane = "details"
            self._arrange(self.size.width)
        if focus:
            self.details.focus()

    def action_back(self) -> None:
        """Close what is open; then select nothing."""
        if self._narrow_pane:
            self._narrow_pane = ""
            self._arrange(self.size.width)
            self.table.focus()
        elif not self.table.has_focus:
            self.table.focus()
        else:
            self.table.unmark()

    def action_reload(self) -> None:
        """Ask again."""
        self.values_changed()

    # The filter

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter.input.focus()

    def action_clear(self) -> None:
        """Show everything."""
        self.filter.set_query("")
        self.table.focus()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Another filter."""
        event.stop()
        self.reload(keep_place=False)

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        """Back to the list."""
        event.stop()
        self.table.focus()

    def on_facet_pane_chosen(self, event: FacetPane.Chosen) -> None:
        """Add a facet to the filter, or take it out."""
        from modelhub.services.facets import with_terms

        event.stop()
        self.filter.set_query(with_terms(self.filter.value, event.terms))

    # Order and columns

    def action_sort(self) -> None:
        """The next order."""
        now = SORTS.index(self.sort) if self.sort in SORTS else 0
        self._sort_by(SORTS[(now + 1) % len(SORTS)])

    def action_reverse(self) -> None:
        """The other way round."""
        self._sort_by(self.sort[1:] if self.sort.startswith("-") else f"-{self.sort}")

    def on_table_head_sorted(self, event: TableHead.Sorted) -> None:
        """A title was clicked."""
        event.stop()
        self._sort_by(event.sort)

    def _sort_by(self, sort: str) -> None:
        self.session.remembered.sort = sort
        self.query_one(TableHead).sort = sort
        self.reload(keep_place=False)

    def action_columns(self) -> None:
        """Choose the columns."""
        from modelhub.tui.library.choosing import ColumnChooser

        def chosen(columns: list[str] | None) -> None:
            if columns:
                self.session.remembered.columns = columns
                self.table.chosen = tuple(columns)
                self.table.refresh()
                self.query_one(TableHead).refresh()

        self.app.push_screen(ColumnChooser(self.table.chosen), chosen)

    # Saved searches

    def action_save_search(self) -> None:
        """Save the filter under a name."""
        query = self.filter.value.strip()
        if not query:
            self.hub.notify("type a filter first: / begins one", severity="warning")
            return

        def answered(name: str) -> None:
            if name:
                self.session.remembered.searches[name] = query
                self.hub.notify(f"saved; b lists saved searches: {name}", markup=False)

        self._ask("Save this search as:", answered, value=query)

    def action_searches(self) -> None:
        """Choose a saved search."""
        from modelhub.tui.library.choosing import SearchChooser

        def chosen(query: str | None) -> None:
            if query is not None:
                self.filter.set_query(query)

        self.app.push_screen(SearchChooser(self.session.remembered.searches), chosen)

    # Selecting

    def on_file_table_marked(self) -> None:
        """Say how many are selected."""
        number = len(self.table.marked)
        self.query_one(TableHead).selected = number

    def on_file_table_opened(self) -> None:
        """A double click shows the details."""
        self.action_details()

    def action_mark_all(self) -> None:
        """Select all that was found."""
        self._find_all(self.filter_text)

    @work(thread=True, exclusive=True, group="all", exit_on_error=False)
    def _find_all(self, query: str) -> None:
        try:
            rows = self.session.catalog.list_files(query, limit=MOST_SELECTED + 1)
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._mark_all, rows)

    def _mark_all(self, rows: list[FileRow]) -> None:
        if len(rows) > MOST_SELECTED:
            self.hub.notify(f"only the first {MOST_SELECTED:,} are selected", severity="warning")
        self.table.marked = {row.id: row for row in rows[:MOST_SELECTED]}
        self.table.refresh()
        self.on_file_table_marked()

    def action_guide(self) -> None:
        """Show the guide of the first run."""
        self.hub.action_guide()
