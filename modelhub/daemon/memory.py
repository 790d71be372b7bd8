"""Memory given back: a process of many threads that come and go keeps what each has once used."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing

from modelhub import glibc

_ARENAS = 2
_M_ARENA_MAX = -8
_CACHES = 24 << 20
"""Bytes of the caches of SQLite in this process."""


def keep_arenas_few() -> None:
    """Let all threads share a few arenas of memory; called before they are started.

    The C library of Linux gives each thread its own, eight a core, and keeps them all.
    """
    library = glibc.glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def keep_caches_small() -> None:
    """Let all connections to SQLite together keep few pages: each would keep its own of a catalog
    that it has once walked through, for as long as the daemon runs."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA soft_heap_limit = {_CACHES}")


def give_back() -> None:
    """Give what is free back to the system, cycles of objects that nobody uses any more first."""
    gc.collect()
    glibc.give_back()
