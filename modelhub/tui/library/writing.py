"""What the user changes in the catalog: written in a thread, and kept until it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import work
from textual.worker import get_current_worker

from modelhub.errors import CatalogLocked, ModelhubError
from modelhub.text import clean
from modelhub.tui.library.loading import LibraryLoading

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

TRY_AGAIN = 1.0
"""Seconds, beside those that the catalog itself waits, until a change is tried again."""


class LibraryWriting(LibraryLoading):
    """A change that another process keeps from being written waits, and is told of."""

    @work(thread=True, group="changes", exit_on_error=False)
    def _change(self, change: Callable[[Catalog], str]) -> None:
        """Do it in a thread, say what it says, and show the rows anew."""
        worker = get_current_worker()
        waits = False
        while True:
            try:
                said = change(self.session.catalog)
            except CatalogLocked as error:
                if worker.is_cancelled:
                    return
                if not waits:
                    self.app.call_from_thread(self._waits, error)
                waits = True
                time.sleep(TRY_AGAIN)
                continue
            except ModelhubError as error:
                self.app.call_from_thread(self.hub.tell_error, error)
            else:
                self.app.call_from_thread(self._done, said)
            break
        if waits:
            self.app.call_from_thread(self._waits_no_more)

    def _waits(self, error: CatalogLocked) -> None:
        self.hub.unwritten += 1
        text = f"{clean(error.message)}\nYour change is kept, and written as soon as it can be."
        self.hub.notify(text, severity="warning", markup=False, timeout=10)

    def _waits_no_more(self) -> None:
        self.hub.unwritten -= 1

    def _done(self, said: str) -> None:
        self.hub.notify(clean(said, lines=True), markup=False)
        if self.is_mounted:
            self.values_changed()
