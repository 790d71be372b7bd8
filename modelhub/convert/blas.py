"""One processor for each matrix product, where several threads make them side by side.

OpenBLAS, numpy's library of matrix products, shares each of its calls out between all processors
and waits for the last of them by turning in a circle. With other threads at work meanwhile, that
takes ten times as long as one processor alone (measured: the decomposition of a product of 1,280 by
128 by 1,280 numbers on two processors, 0.2 to 1.1 s against 0.05 s).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator
from threading import Lock
from typing import NamedTuple

_NAMES = (
    *("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads"),
    *("openblas_{}_num_threads64_", "openblas_{}_num_threads"),
)
"""As numpy's own builds call them, and others (OpenMathLib/OpenBLAS ``cblas.h``)."""


class _Threads(NamedTuple):
    read: Callable[[], int]
    set: Callable[[int], None]


class _Users:
    """How many blocks are running, and what the first of them found."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.count = 0
        self.before = 1


_USERS = _Users()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """While any such block runs, matrix products take one thread each; safe between threads.

    Where numpy was built with another library than OpenBLAS, nothing is changed.
    """
    threads = _threads()
    if threads is None:
        yield
        return
    with _USERS.lock:
        if not _USERS.count:
            _USERS.before = threads.read()
            threads.set(1)
        _USERS.count += 1
    try:
        yield
    finally:
        with _USERS.lock:
            _USERS.count -= 1
            if not _USERS.count:
                threads.set(_USERS.before)


@functools.cache
def _threads() -> _Threads | None:
    import numpy as np

    try:
        # The symbols of the libraries that numpy's module is linked to are found through it.
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, OSError):
        return None
    for name in _NAMES:
        read, put = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if read is not None and put is not None:
            put.restype = None
            return _Threads(read, put)
    return None
