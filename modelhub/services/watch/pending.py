"""What notifications left to be looked at: coalesced by path, the latest first.

Notifications come from watchdog's threads, work is taken by the watcher's. A file whose writer
closed it is ready at once; one that was created or changed otherwise is ready when nothing more
happened to it for a while; a folder that came, went or was renamed is compared as a whole.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

MOST = 2000
"""Files of one root that are taken one by one; of more, the whole root is compared, which is
quicker."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be looked at in one root."""

    root_id: int
    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()


class Pending:
    """See the module. Safe to use from several threads.

    :param settle: seconds without a notification after which an unclosed file is looked at.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._lock = threading.Lock()
        self._ready: dict[int, dict[Path, None]] = {}
        self._later: dict[Path, tuple[int, float]] = {}
        self._folders: dict[int, dict[Path, None]] = {}
        self._whole: dict[int, None] = {}
        self.wake = threading.Event()
        """Set when there is something to take."""

    def file_ready(self, root_id: int, path: Path) -> None:
        """The file is complete, or gone."""
        with self._lock:
            self._later.pop(path, None)
            files = self._ready.setdefault(root_id, {})
            files.pop(path, None)
            files[path] = None
            if len(files) > MOST:
                files.clear()
                self._whole[root_id] = None
        self.wake.set()

    def file_stirs(self, root_id: int, path: Path) -> None:
        """The file is being written to: it is looked at when nothing more is heard of it."""
        with self._lock:
            self._later[path] = root_id, time.monotonic() + self._settle
            self._bound_later()

    def file_seen(self, root_id: int, path: Path, seconds: float) -> None:
        """The file is to be looked at in so many seconds, or when what is heard of it says."""
        with self._lock:
            self._later.setdefault(path, (root_id, time.monotonic() + seconds))
            self._bound_later()

    def _bound_later(self) -> None:
        if len(self._later) > 2 * MOST:
            self._whole.update((number, None) for number, _ in self._later.values())
            self._later.clear()

    def folder(self, root_id: int, path: Path) -> None:
        """The folder came, went or was renamed."""
        with self._lock:
            self._folders.setdefault(root_id, {})[path] = None
        self.wake.set()

    def whole(self, root_id: int) -> None:
        """Something may have been missed: the whole root is to be compared."""
        with self._lock:
            self._whole[root_id] = None
        self.wake.set()

    def take(self, most: int) -> list[Work]:
        """Files, at most so many of each root, the latest first; and folders. They are yours."""
        now = time.monotonic()
        with self._lock:
            for path in [path for path, (_, due) in self._later.items() if due <= now]:
                self._ready.setdefault(self._later.pop(path)[0], {})[path] = None
            found = []
            for root_id in {*self._ready, *self._folders}:
                folders = tuple(self._folders.pop(root_id, ()))
                ready = self._ready.get(root_id, {})
                files: list[Path] = []
                while ready and len(files) < most:
                    path, _ = ready.popitem()
                    if not any(path.is_relative_to(folder) for folder in folders):
                        files.append(path)
                if not ready:
                    self._ready.pop(root_id, None)
                if files or folders:
                    found.append(Work(root_id, tuple(files), folders))
            if not self._ready and not self._whole:
                self.wake.clear()
        return found

    def take_whole(self) -> int | None:
        """A root that is to be compared as a whole; what is known to be ready in it goes along."""
        with self._lock:
            for root_id in self._whole:
                del self._whole[root_id]
                return root_id
        return None
