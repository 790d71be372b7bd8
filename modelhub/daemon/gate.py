"""No more jobs of a kind at work than are allowed, to the last moment.

The engine counts as well, but lets the next run in while the end of the last is still being
written; so that this costs no time, and yet nobody ever sees one job too many.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY = 0.5
"""Seconds: the settings may have changed meanwhile."""


class Gate:
    """Any thread may use it.

    :param most: gives how many jobs of a kind may be at work; None: any number.
    """

    def __init__(self, most: Callable[[str], int | None]) -> None:
        self._most = most
        self._inside: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def passed(self, kind: str) -> Iterator[bool]:
        """Wait for a place, and hold it for the block; False: it was closed, and there is none."""
        with self._changed:
            while not self._closed and not self._has_place(kind):
                self._changed.wait(_LOOK_EVERY)
            if self._closed:
                inside = False
            else:
                inside = True
                self._inside[kind] += 1
        try:
            yield inside
        finally:
            if inside:
                with self._changed:
                    self._inside[kind] -= 1
                    self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and nobody wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_place(self, kind: str) -> bool:
        most = self._most(kind)
        return most is None or self._inside[kind] < most
