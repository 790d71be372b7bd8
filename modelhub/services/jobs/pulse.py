"""A beat for what is told now and then: what was held back is told although nothing follows."""

from __future__ import annotations

import threading

from modelhub.services.jobs.progress import ProgressFold

BEAT = 0.5
"""Seconds between two looks at what was held back."""


class Pulse:
    """A thread that lets folds tell what they held back, as long as there are any. Any thread may
    use it."""

    def __init__(self) -> None:
        self._folds: dict[str, ProgressFold] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, name: str, fold: ProgressFold) -> None:
        """Let `fold` tell from now on."""
        with self._changed:
            first = not self._folds
            self._folds[name] = fold
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs pulse", daemon=True)
                self._thread.start()
            elif first:
                self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Leave the fold of that name alone from now on."""
        with self._changed:
            del self._folds[name]

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._folds)
                if self._closed:
                    return
                self._changed.wait(BEAT)
                folds = tuple(self._folds.values())
            for fold in folds:
                fold.beat()
