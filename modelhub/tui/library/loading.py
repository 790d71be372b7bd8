"""What the Library screen asks the catalog, in threads: rows, counts, facets, details."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import work
from textual.timer import Timer
from textual.worker import get_current_worker

from modelhub.errors import ModelhubError, QuerySyntaxError
from modelhub.text import clean, human_size
from modelhub.tui.library.detailspane import DetailsPane
from modelhub.tui.library.facetpane import FacetPane
from modelhub.tui.library.filterbar import FilterBar
from modelhub.tui.library.table import FileTable
from modelhub.tui.library.window import PAGE, RowWindow
from modelhub.tui.screens.section import Section
from modelhub.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from modelhub.catalog import FileRow
    from modelhub.services.about import About
    from modelhub.services.facets import Choices, Facet

FACETS_AFTER = 0.25
"""Seconds without a key after which facets are counted."""
DETAILS_AFTER = 0.06
RETRY_AFTER = 3.0
"""Seconds after which a catalog that could not be read is asked again."""


class LibraryLoading(Section):
    """Asks and shows; what the user does is in :mod:`modelhub.tui.library.actions`."""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        """The query of the rows that are shown."""
        self._asked = 0
        self._shown: tuple[int, str] | None = None
        """Which question the rows that are shown answer, and their order."""
        self._total: int | None = None
        self._choices: Choices | None = None
        self._newer: dict[int, int] = {}
        self.note_next = False
        """Whether the note is to be written as soon as the details are there."""
        self._pauses: dict[str, Timer] = {}

    # The parts

    @property
    def table(self) -> FileTable:
        """The list."""
        return self.query_one(FileTable)

    @property
    def filter(self) -> FilterBar:
        """The filter."""
        return self.query_one(FilterBar)

    @property
    def facets(self) -> FacetPane:
        """The facets."""
        return self.query_one(FacetPane)

    @property
    def details(self) -> DetailsPane:
        """The details."""
        return self.query_one(DetailsPane)

    @property
    def sort(self) -> str:
        """The order, as ``--sort`` names it."""
        return self.session.remembered.sort

    def _later(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """Call once nothing of that name was asked for so long."""
        timer = self._pauses.pop(name, None)
        if timer is not None:
            timer.stop()
        self._pauses[name] = self.set_timer(seconds, call)

    # Rows

    def reload(self, *, keep_place: bool = True) -> None:
        """Ask for the rows of the filter anew."""
        self._asked += 1
        page = self.table.cursor // PAGE if keep_place else 0
        self._find(self._asked, self.filter.value, self.sort, page, keep_place)

    @work(thread=True, exclusive=True, group="rows", exit_on_error=False)
    def _find(self, asked: int, query: str, sort: str, page: int, keep_place: bool) -> None:
        from modelhub.catalog import Sort

        order = None if sort == "name" else Sort.parse(sort)
        try:
            catalog = self.session.catalog
            rows = catalog.list_files(query, sort=order, limit=PAGE, offset=page * PAGE)
            self.app.call_from_thread(self._found, asked, query, sort, page, rows, keep_place)
            total = catalog.count(query)
            newer = catalog.newer_of([row.id for row in rows])
            self.app.call_from_thread(self._counted, asked, total, newer)
        except ModelhubError as error:
            self.app.call_from_thread(self._refused, asked, error)

    def _found(
        self,
        asked: int,
        query: str,
        sort: str,
        page: int,
        rows: list[FileRow],
        keep_place: bool,
    ) -> None:
        if asked != self._asked or not self.is_mounted:
            return
        self.filter_text = query
        self._shown = asked, sort
        self.session.remembered.query = query
        self.filter.tell_mistake(None)
        window = RowWindow()
        window.put(page, rows)
        # What lies before the page that was asked for is there as well.
        window.total = None if len(rows) == PAGE or page else len(rows)
        self.table.empty_text = _nothing(query)
        self.table.reset(window, keep_place=keep_place)
        self._later("facets", FACETS_AFTER, self.count_facets)

    def _counted(self, asked: int, total: int, newer: dict[int, int]) -> None:
        if asked != self._asked or not self.is_mounted:
            return
        self._newer.update(newer)
        self.table.newer = set(self._newer)
        self.table.set_total(total)
        if not self.filter_text.strip():
            self._total = total
        self.filter.tell_count(total, self._total)

    def _refused(self, asked: int, error: ModelhubError) -> None:
        if asked != self._asked or not self.is_mounted:
            return
        self.filter.tell_mistake(error)
        if isinstance(error, QuerySyntaxError):
            return
        if not self.table.window.known:
            self.table.empty_text = f"{clean(error.message)}; {clean(error.hint)}".rstrip("; ")
            self.table.refresh()
        self._later("retry", RETRY_AFTER, self.reload)

    def on_file_table_wanted(self, event: FileTable.Wanted) -> None:
        """Rows came on screen that are not known."""
        event.stop()
        # While another filter is being asked for, these rows are still of the one before.
        if self._shown is not None:
            asked, sort = self._shown
            self._fill(asked, self.filter_text, sort, event.pages)

    @work(thread=True, exclusive=True, group="pages", exit_on_error=False)
    def _fill(self, asked: int, query: str, sort: str, pages: Sequence[int]) -> None:
        from modelhub.catalog import Sort

        order = None if sort == "name" else Sort.parse(sort)
        worker = get_current_worker()
        try:
            catalog = self.session.catalog
            for page in pages:
                if worker.is_cancelled:
                    return
                rows = catalog.list_files(query, sort=order, limit=PAGE, offset=page * PAGE)
                newer = catalog.newer_of([row.id for row in rows])
                self.app.call_from_thread(self._filled, asked, page, rows, newer)
        except ModelhubError as error:
            self.app.call_from_thread(self._refused, asked, error)

    def _filled(self, asked: int, page: int, rows: list[FileRow], newer: dict[int, int]) -> None:
        if self._shown is not None and asked == self._shown[0] and self.is_mounted:
            self._newer.update(newer)
            self.table.newer = set(self._newer)
            self.table.put(page, rows)

    # Facets and totals

    def count_facets(self) -> None:
        """Count the facets of what is shown, and what the whole library holds."""
        self._count_facets(self._asked, self.filter_text, self.facets.display)

    @work(thread=True, exclusive=True, group="facets", exit_on_error=False)
    def _count_facets(self, asked: int, query: str, wanted: bool) -> None:
        from modelhub.services.facets import choices, count_facets

        worker = get_current_worker()
        try:
            catalog = self.session.catalog
            files, size = catalog.totals()
            everything = catalog.count()
            self.app.call_from_thread(self._show_totals, files, size, everything)
            if not wanted:
                return
            if self._choices is None:
                self._choices = choices(catalog)
            found = list(count_facets(catalog, self._choices, query, lambda: worker.is_cancelled))
            if not worker.is_cancelled:
                self.app.call_from_thread(self._show_facets, asked, query, found)
        except ModelhubError:
            # The rows tell what is wrong with the query or the catalog.
            return

    def _show_totals(self, files: int, size: int, everything: int) -> None:
        if not self.is_mounted:
            return
        text = f"{files:,} files · {human_size(size)}" if files else ""
        self.query_one(TopBar).library = text
        self.hub.library_text = text
        self._total = everything
        if not everything and not self.session.remembered.guided and self.is_current:
            self.hub.action_guide()
        found = self.table.window.total
        if found is not None:
            self.filter.tell_count(found, everything)

    def _show_facets(self, asked: int, query: str, found: Sequence[Facet]) -> None:
        if asked == self._asked and self.is_mounted:
            self.facets.show(found, query)

    def values_changed(self) -> None:
        """Tags, ratings or files changed: other values may occur."""
        self._choices = None
        self.reload()
        self.point_again()

    # Details

    def on_file_table_pointed(self, event: FileTable.Pointed) -> None:
        """Another row is under the cursor."""
        event.stop()
        if event.row is None:
            self.details.clear()
        else:
            self._later("details", DETAILS_AFTER, self.point_again)

    def point_again(self) -> None:
        """Show the details of the row under the cursor."""
        row = self.table.current
        if row is not None and self.details.display:
            self._look_up(row.id)

    @work(thread=True, exclusive=True, group="details", exit_on_error=False)
    def _look_up(self, file_id: int) -> None:
        from modelhub.services.about import about

        worker = get_current_worker()
        try:
            found = about(self.session.catalog, self.session.config, file_id)
        except ModelhubError as error:
            self.app.call_from_thread(self._lost, file_id, error)
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show_details, found)

    def _show_details(self, found: About) -> None:
        row = self.table.current if self.is_mounted else None
        if row is None or row.id != found.details.row.id:
            return
        self.details.show(found, newer=row.id in self._newer)
        if self.note_next:
            self.note_next = False
            self.call_later(self.details.edit_note)

    def _lost(self, file_id: int, error: ModelhubError) -> None:
        row = self.table.current if self.is_mounted else None
        if row is not None and row.id == file_id:
            self.details.clear(clean(error.message))


def _nothing(query: str) -> str:
    if query.strip():
        return "nothing found; esc in the filter, or ctrl+l, shows everything again"
    return "no models here yet: ctrl+g guides, 2 searches Civitai, i indexes"
