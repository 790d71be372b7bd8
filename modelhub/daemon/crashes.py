"""Word of a crash: where each thread was when the process met a fault that ends it.

A fault in a library written in C (a bad access to memory, an abort) ends a process without any
exception. The interpreter can still write down where it was; the next daemon puts that into its
log, and knows that the last one was not simply killed.
"""

from __future__ import annotations

import faulthandler
import logging
from contextlib import suppress
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)
_MOST = 20_000


class Crashes:
    """The file that a crash is written to.

    :param path: the file; it is there while a daemon runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def begin(self) -> bool:
        """Have a crash written down from now on; whether the last daemon left word of one."""
        text = ""
        with suppress(OSError):
            text = self._path.read_text(encoding="utf-8", errors="replace")[:_MOST].strip()
        if text:
            _log.error("the last daemon crashed", extra={"where": text})
        with suppress(OSError):
            # Faults are written by the number of the file: it stays open as long as we run.
            self._file = self._path.open("w", encoding="utf-8")
            self._path.chmod(0o600)
            faulthandler.enable(self._file)
        return bool(text)

    def end(self) -> None:
        """Write no more, and take the file away."""
        if self._file is not None:
            faulthandler.disable()
            self._file.close()
            self._file = None
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
