"""One process, and one thread of it, for each partial file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.disk import disk_errors
from modelhub.errors import Cancelled
from modelhub.progress import Listener, Notice, Stage, StageEntered
from modelhub.transfer.partial import PartialPaths

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL_SECONDS = 0.1

_guard = threading.Lock()
_held: dict[Path, BaseFileLock] = {}
_at_rest: set[Path] = set()


def _key(paths: PartialPaths) -> Path:
    return paths.lock.parent.resolve() / paths.lock.name


def _try(paths: PartialPaths) -> bool:
    from filelock import FileLock, Timeout

    key = _key(paths)
    with _guard:
        if key in _held:
            # Fetched earlier by this process and never committed: free to be taken up again.
            free = key in _at_rest
            _at_rest.discard(key)
            return free
        lock = FileLock(str(key), thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        _held[key] = lock
        return True


def hold(paths: PartialPaths, task: str, listener: Listener, cancel: threading.Event) -> None:
    """Take the lock, waiting for it if need be.

    :raises Cancelled: `cancel` was set meanwhile.
    :raises DiskError: the lock file cannot be made.
    """
    waited = False
    with disk_errors(paths.lock):
        while not _try(paths):
            if not waited:
                waited = True
                listener(StageEntered(task, Stage.WAIT))
                listener(Notice(task, f"another download of {paths.data} is under way: waiting"))
            if cancel.wait(_POLL_SECONDS):
                raise Cancelled(f"stopped while waiting for another download of {paths.data}")


def rest(paths: PartialPaths) -> None:
    """Keep the lock, for a file that is fetched and not committed yet."""
    with _guard:
        _at_rest.add(_key(paths))


def let_go(paths: PartialPaths) -> None:
    """Give the lock up and remove its file, if this process holds it."""
    key = _key(paths)
    with _guard:
        lock = _held.pop(key, None)
        _at_rest.discard(key)
        if lock is not None:
            # Removed while held: who opened it before finds it unlinked and opens a new one.
            key.unlink(missing_ok=True)
            lock.release()
