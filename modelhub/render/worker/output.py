"""What a process writes on its standard output and error: the last lines, never on a terminal."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from contextlib import suppress

_LINES = 200
_LONGEST_LINE = 500
_LINE_END = re.compile(rb"[\r\n]+")
"""Progress bars end their lines with a carriage return."""


class LastLines:
    """Reads a pipe until all of its writers are gone, and keeps the last lines.

    :param descriptor: the reading end; it is closed when the other end is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._reader = threading.Thread(target=self._read, name="output of a worker", daemon=True)
        self._reader.start()

    def lines(self, wait: float = 0.0) -> tuple[str, ...]:
        """The last lines, the oldest first; waits `wait` seconds at most for the writers' end."""
        self._reader.join(wait)
        return tuple(self._lines)

    def _read(self) -> None:
        begun = b""
        with suppress(OSError):
            while data := os.read(self._descriptor, 1 << 16):
                *whole, begun = _LINE_END.split(begun + data)
                for line in whole:
                    self._take(line)
                begun = begun[:_LONGEST_LINE]
        self._take(begun)
        os.close(self._descriptor)

    def _take(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
        if text:
            self._lines.append(text)
