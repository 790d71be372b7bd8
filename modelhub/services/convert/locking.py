"""One conversion at a time to a name, among the processes of a user."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.config.paths import cache_folder
from modelhub.errors import Cancelled
from modelhub.progress import Listener, Notice, Stage, StageEntered

if TYPE_CHECKING:
    from filelock import FileLock

_POLL_SECONDS = 0.1


@contextmanager
def sole_writer(target: Path, task: str, listener: Listener, cancel: Event) -> Iterator[None]:
    """Hold the name `target` for the block; waits while another process writes it, and says so.

    The lock is no file beside the result: a killed process would leave it there. It is in the cache
    folder, and the system releases it when its process ends. A folder where no lock can be made
    costs nothing but the waiting: no writer ever replaces a file.

    :raises Cancelled: `cancel` was set meanwhile.
    """
    from filelock import FileLock

    try:
        path = _lock_file(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path))
        if not _acquired(lock):
            listener(StageEntered(task, Stage.WAIT))
            listener(Notice(task, f"another conversion writes {target}: waiting for it"))
            while not _acquired(lock):
                if cancel.wait(_POLL_SECONDS):
                    raise Cancelled(f"stopped while waiting for another conversion to {target}")
    except OSError:
        yield
        return
    try:
        yield
    finally:
        # Removed while held: who opened it before finds it unlinked and opens a new one.
        path.unlink(missing_ok=True)
        lock.release()


def _acquired(lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _lock_file(target: Path) -> Path:
    where = target.parent.resolve() / target.name
    digest = hashlib.sha256(os.fsencode(where)).hexdigest()[:32]
    return cache_folder() / "conversions" / f"{digest}.lock"
