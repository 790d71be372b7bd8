"""What only the C library of GNU can do with a process's memory; on other systems, nothing."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Any


def glibc() -> Any:
    """The library, for ``mallopt(3)`` and ``malloc_trim(3)``; None where there is another."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
            return library
    return None


def give_back() -> None:
    """Give what a process has freed back to the system, all of it."""
    library = glibc()
    if library is not None:
        library.malloc_trim(0)
