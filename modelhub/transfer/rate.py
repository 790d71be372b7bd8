"""The bandwidth limit: one for the process, over all its files and connections."""

from __future__ import annotations

import threading
import time

_CREDIT_SECONDS = 0.2


class Bucket:
    """Lets bytes through at a given mean rate.

    Each caller gets its turn behind the ones before it, and waits for it; idle time is made up
    for up to a fifth of a second.
    """

    def __init__(self, rate: int | None = None) -> None:
        self._lock = threading.Lock()
        self._rate = rate
        self._free_at = 0.0

    def set_rate(self, rate: int | None) -> None:
        """Limit to `rate` bytes a second from now on; None is no limit."""
        with self._lock:
            self._rate = rate or None

    def take(self, count: int, stop: threading.Event) -> None:
        """Return when `count` bytes may have passed, or at once when `stop` is set."""
        with self._lock:
            if self._rate is None:
                return
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _CREDIT_SECONDS) + count / self._rate
            wait = self._free_at - now
        if wait > 0:
            stop.wait(wait)


PROCESS_BUCKET = Bucket()
"""The bucket that all downloads of this process draw from."""
