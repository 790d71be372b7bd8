"""The rows of a listing, by the page: a few pages around what is on screen, never all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.catalog import FileRow

PAGE = 100
"""Rows that are asked for at once."""
MOST_PAGES = 24
"""Pages that are kept; those not looked at for longest go first."""


class RowWindow:
    """Which rows of a listing are known.

    :param total: how many there are; None: not counted yet.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self._pages: OrderedDict[int, Sequence[FileRow]] = OrderedDict()

    @property
    def known(self) -> int:
        """How many rows there are, as far as it is known."""
        if self.total is not None:
            return self.total
        return max((page * PAGE + len(rows) for page, rows in self._pages.items()), default=0)

    def row(self, index: int) -> FileRow | None:
        """The row at `index`, or None while it is not known."""
        page, at = divmod(index, PAGE)
        rows = self._pages.get(page)
        if rows is None or at >= len(rows):
            return None
        self._pages.move_to_end(page)
        return rows[at]

    def put(self, page: int, rows: Sequence[FileRow]) -> None:
        """Take a page in."""
        self._pages[page] = rows
        self._pages.move_to_end(page)
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        if len(rows) < PAGE and self.total is None:
            self.total = page * PAGE + len(rows)

    def missing(self, first: int, last: int) -> list[int]:
        """The pages that rows `first` to `last` need and that are not known."""
        if self.total is not None:
            last = min(last, self.total - 1)
        pages = range(max(0, first) // PAGE, last // PAGE + 1)
        return [page for page in pages if page not in self._pages]

    def rows(self) -> Sequence[FileRow]:
        """All rows that are known, in order."""
        return [row for page in sorted(self._pages) for row in self._pages[page]]

    def index_of(self, file_id: int) -> int | None:
        """Where a file stands, if it is among the known rows."""
        for page, rows in self._pages.items():
            for at, row in enumerate(rows):
                if row.id == file_id:
                    return page * PAGE + at
        return None
