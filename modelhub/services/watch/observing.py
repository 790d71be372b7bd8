"""Where notifications come from: watchdog's native observer, one watch for each folder tree.

Network file systems are not watched but compared again and again (`watch.poll_interval`): changes
by other machines wake no notification. So are roots for which the system has no watches left. The
comparison is our own and not watchdog's polling observer: that keeps a snapshot of all files in
memory, a gigabyte for a million of them.
"""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from modelhub.services.index.mounts import file_system_of
from modelhub.services.index.names import IGNORE_FILE, MODEL_INDEX, is_model_name

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

    from modelhub.services.watch.pending import Pending

_LIMITS = {
    errno.ENOSPC: "all inotify watches are in use (raise fs.inotify.max_user_watches)",
    errno.EMFILE: "all inotify instances are in use (raise fs.inotify.max_user_instances)",
}
_SOON = 0.6
"""Seconds until a file is looked at of which nothing more is heard: longer than watchdog waits for
the second half of a move."""
_OVERFLOW_LOGGER = "watchdog.observers.inotify_c"


class Unwatchable(Exception):
    """The system cannot watch this folder; the text says why."""


def polling_reason(root: Path, wanted: str) -> str | None:
    """Why a root is polled, None where notifications will do.

    :param wanted: of the settings: ``auto``, ``native`` or ``polling``.
    """
    if wanted == "polling":
        return "as watch.observer says"
    system = file_system_of(root)
    if wanted == "auto" and system.is_network:
        return f"{system.kind} tells nothing of changes by other machines"
    return None


class Observing:
    """The native observer of all watched roots.

    :param on_overflow: called when the kernel dropped notifications; from another thread.
    """

    def __init__(self, pending: Pending, on_overflow: Callable[[], None]) -> None:
        self._pending = pending
        # It says so itself when it watches a folder that it watches already, which is harmless.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        self._observer: BaseObserver = Observer()
        self._watches: dict[int, list[ObservedWatch]] = {}
        self._alarm = _Alarm(on_overflow)
        logging.getLogger(_OVERFLOW_LOGGER).addHandler(self._alarm)
        self._observer.start()

    def close(self) -> None:
        """End all watches and the threads."""
        logging.getLogger(_OVERFLOW_LOGGER).removeHandler(self._alarm)
        self._observer.stop()
        self._observer.join()

    def watch(self, root_id: int, folder: Path, place: Path) -> None:
        """Watch `folder` and all below it; what happens there happens at `place`, in the root.

        :raises Unwatchable: the system cannot.
        """
        handler = _Handler(self._pending, root_id, folder, place)
        try:
            found = self._observer.schedule(handler, str(folder), recursive=True)
        except OSError as error:
            reason = _LIMITS.get(error.errno or 0, error.strerror or str(error))
            raise Unwatchable(reason) from error
        self._watches.setdefault(root_id, []).append(found)

    def unwatch(self, root_id: int) -> None:
        """End the watches of a root."""
        for one in self._watches.pop(root_id, ()):
            try:
                self._observer.unschedule(one)
            except (KeyError, OSError):
                continue  # it ended by itself: its folder is gone


class _Handler(FileSystemEventHandler):
    """Turns notifications into what is to be looked at."""

    def __init__(self, pending: Pending, root_id: int, folder: Path, place: Path) -> None:
        self._pending, self._root_id = pending, root_id
        self._folder, self._place = str(folder), str(place)

    def dispatch(self, event: FileSystemEvent) -> None:
        """One notification of any kind."""
        kind = event.event_type
        if kind in ("opened", "closed_no_write"):
            return
        for text, is_new in ((event.src_path, False), (event.dest_path, True)):
            if text:
                self._note(os.fsdecode(text), kind, is_new=is_new, folder=event.is_directory)

    def _note(self, text: str, kind: str, *, is_new: bool, folder: bool) -> None:
        path = Path(self._place + text.removeprefix(self._folder))
        if any(part.startswith(".") for part in text.removeprefix(self._folder).split("/")[:-1]):
            return
        if folder:
            # That something in it changed is told of what is in it, too.
            if kind in ("created", "deleted", "moved") and not path.name.startswith("."):
                self._pending.folder(self._root_id, path)
        elif path.name in (IGNORE_FILE, MODEL_INDEX):
            self._pending.folder(self._root_id, path.parent)
        elif is_model_name(path.name):
            self._note_model(path, kind, is_new=is_new)
        elif path.suffix == ".aria2" and kind == "deleted":
            self._pending.file_ready(self._root_id, path.with_suffix(""))

    def _note_model(self, path: Path, kind: str, *, is_new: bool) -> None:
        if kind == "closed" or (kind == "moved" and is_new):
            self._pending.file_ready(self._root_id, path)
        elif kind == "modified":
            self._pending.file_stirs(self._root_id, path)
        else:
            # Created: written before its new folder was watched, linked, or moved here; or what is
            # being written now, and then more is heard of it. Gone: it may turn up elsewhere.
            self._pending.file_seen(self._root_id, path, _SOON)


class _Alarm(logging.Handler):
    """Hears of a full notification queue: watchdog says it in its log, and nowhere else."""

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_overflow = on_overflow

    def emit(self, record: logging.LogRecord) -> None:
        """A line of watchdog's log."""
        if "overflow" in str(record.msg):
            self._on_overflow()
