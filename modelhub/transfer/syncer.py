"""Brings data to the disk while more comes in, so that a power cut costs little."""

from __future__ import annotations

import threading

from modelhub.transfer.ledger import Ledger
from modelhub.transfer.partial import Closed, Partial

SYNC_BYTES = 8 << 20
SYNC_SECONDS = 1.0


class Syncer(threading.Thread):
    """Syncs the partial file after every 8 MiB or second, whichever comes first.

    Once ended, it has a `failure` if the disk refused.
    """

    def __init__(self, partial: Partial, ledger: Ledger, stop: threading.Event) -> None:
        super().__init__(name="transfer-sync", daemon=True)
        self._partial = partial
        self._ledger = ledger
        self._stop_asked = stop
        self.failure: Exception | None = None

    def run(self) -> None:
        """Sync until told to stop."""
        synced = 0
        try:
            while not self._stop_asked.is_set():
                fetched = self._wait_beyond(synced)
                if fetched > synced:
                    self._partial.sync()
                    synced = fetched
        except Closed:
            pass
        except OSError as error:
            self.failure = error

    def _wait_beyond(self, synced: int) -> int:
        ledger = self._ledger

        def enough() -> bool:
            return self._stop_asked.is_set() or ledger.fetched - synced >= SYNC_BYTES

        with ledger.changed:
            ledger.changed.wait_for(enough, SYNC_SECONDS)
            return ledger.fetched
