"""What the groups of the catalog's methods share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from modelhub.catalog.store import Store

Selection: TypeAlias = str | Sequence[int]
"""Files to work on: a query in the search language, or ids of local files."""


class Methods:
    """A group of methods of the catalog: an open database, and a clock."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] | None = None) -> None:
        self._store = store
        self._clock = clock or (lambda: datetime.now(UTC))

    def _ids(self, files: Selection) -> tuple[int, ...]:
        if isinstance(files, str):
            from modelhub.catalog import queries

            return queries.select_ids(self._store, files, now=self._clock())
        return tuple(files)
