"""Tells a listener how a download goes: from one thread, and not too often."""

from __future__ import annotations

import time
from collections import deque

from modelhub.progress import Advanced, Listener, Notice, Stage, StageEntered

_SECONDS_BETWEEN = 0.1


class Notices:
    """The voice of one download. Any thread may `note`; the one that runs it does the rest."""

    def __init__(self, task: str, listener: Listener) -> None:
        self._task = task
        self._listener = listener
        self._waiting: deque[Notice] = deque()
        self._last_time = 0.0
        self._last: Advanced | None = None

    def note(self, text: str, *, warning: bool = False) -> None:
        """Have the user told `text`, soon."""
        self._waiting.append(Notice(self._task, text, warning))

    def flush(self) -> None:
        """Tell what waits to be told."""
        while self._waiting:
            self._listener(self._waiting.popleft())

    def enter(self, stage: Stage, total: int | None = None) -> None:
        """The download entered `stage`."""
        self.flush()
        self._last = None
        self._listener(StageEntered(self._task, stage, total))

    def advance(self, done: int, total: int | None, resumed: int, *, now: bool = False) -> None:
        """Bytes came in; told ten times a second at most (`now`: anyway), and never backwards."""
        self.flush()
        moment = time.monotonic()
        if not now and moment - self._last_time < _SECONDS_BETWEEN:
            return
        if self._last is not None:
            done = max(done, self._last.done)
        told = Advanced(self._task, done, total, min(resumed, done))
        if told != self._last:
            self._listener(told)
            self._last = told
            self._last_time = moment
