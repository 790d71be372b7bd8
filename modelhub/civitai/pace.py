"""The one rate limiter of the process: all clients and threads together stay polite."""

from __future__ import annotations

import threading
import time
from typing import Final

from modelhub.civitai.waiting import pause

_BURST: Final = 1.0
"""Seconds of unused allowance that may be spent at once."""


class Pacer:
    """Spaces requests to each origin, whoever makes them (generic cell rate algorithm)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._held: dict[str, float] = {}

    def wait_turn(
        self, origin: str, per_second: float, cancel: threading.Event | None = None
    ) -> None:
        """Return when the next request to `origin` may go out.

        :raises Cancelled: `cancel` was set meanwhile.
        """
        with self._lock:
            now = time.monotonic()
            turn = max(self._next.get(origin, now), now)
            self._next[origin] = turn + 1.0 / per_second
        pause(turn - _BURST - now, cancel)
        while (left := self._hold_left(origin)) > 0:
            pause(left, cancel)

    def hold(self, origin: str, seconds: float) -> None:
        """Send nothing to `origin` for `seconds`: it asked one of us to wait, and means all."""
        with self._lock:
            until = time.monotonic() + seconds
            self._held[origin] = max(self._held.get(origin, 0.0), until)
            self._next[origin] = max(self._next.get(origin, 0.0), until + _BURST)

    def _hold_left(self, origin: str) -> float:
        with self._lock:
            return self._held.get(origin, 0.0) - time.monotonic()


PACER: Final = Pacer()
"""Shared by every client in this process."""
