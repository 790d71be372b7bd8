"""The watcher: notifications in, an up-to-date catalog out, until it is stopped.

One thread does all comparing, so that what was just written goes before what there is plenty of:
while a whole root is compared, single files are taken between its batches. Another thread, of the
lowest priority, hashes. Nothing is kept between two runs but the catalog: after a restart, however
the last run ended, every root is compared once, and so it is after notifications were lost and
when a root that was gone is back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.errors import Cancelled, CatalogLocked, ModelhubError
from modelhub.progress import Event as ProgressEvent
from modelhub.progress import Notice
from modelhub.services.index.places import Place, chosen, single
from modelhub.services.index.report import Happened, Happening
from modelhub.services.index.run import compare_places
from modelhub.services.index.walk import Scope
from modelhub.services.watch.observing import Observing, Unwatchable, polling_reason
from modelhub.services.watch.pending import Pending
from modelhub.services.watch.report import Lost, Remark, Told, Watching

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, RootRow
    from modelhub.config import Config
    from modelhub.services.index.session import Session

_AT_ONCE = 64
"""Single files of a root that are taken together: read here and now, in some 50 ms."""
_HEALTH_EVERY = 2.0
_PAUSE = 0.02
"""Seconds that notifications are collected for, after the first one."""
_TRY_AGAIN = 5.0
"""Seconds after which a root is compared again that could not be recorded just now."""
_NICE = 15


def watch(
    roots: Sequence[Path] = (),
    *,
    config: Config,
    catalog: Catalog,
    notify: Callable[[Told], None],
    cancel: threading.Event,
    pause: float = _PAUSE,
) -> None:
    """Keep the catalog in step with the disk until `cancel` is set.

    :param roots: the roots to watch; none: all that are not marked otherwise. A folder outside
        every root becomes one.
    :param notify: told of all that happens, from several threads, one call at a time.
    :param pause: seconds that notifications are collected for, after the first one.
    :raises RootMissing: one of `roots` is not there and has never been a root.
    :raises CatalogError: the catalog cannot be used.
    """
    rows = _watched(catalog, config, roots)
    watcher = _Watcher(config, catalog, _one_at_a_time(notify), cancel, pause)
    try:
        watcher.run(rows)
    finally:
        watcher.close()


def _watched(catalog: Catalog, config: Config, roots: Sequence[Path]) -> list[RootRow]:
    places = chosen(catalog, config, roots)
    rows = [place.row for place in places]
    return rows if roots else [row for row in rows if row.watched] or rows


def _one_at_a_time(notify: Callable[[Told], None]) -> Callable[[Told], None]:
    lock = threading.Lock()

    def call(told: Told) -> None:
        with lock:
            notify(told)

    return call


@dataclass(slots=True)
class _Root:
    """A root under watch."""

    row: RootRow
    identity: tuple[int, int] | None = None
    """Device and inode of its folder when its watch began; None: there is no folder now."""
    native: bool = False
    links: set[str] = field(default_factory=set)
    """Links to folders elsewhere that are watched as well."""
    compared_at: float = 0.0
    told: tuple[bool, str] | None = None


class _Watcher:
    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        notify: Callable[[Told], None],
        cancel: threading.Event,
        pause: float,
    ) -> None:
        self._config, self._catalog, self._notify = config, catalog, notify
        self._cancel, self._pause = cancel, pause
        self._pending = Pending(config.index.settle)
        self._observing = Observing(self._pending, self._on_overflow)
        self._roots: dict[int, _Root] = {}
        self._checked_at = 0.0
        self._again: dict[int, float] = {}
        self._busy = False
        # What notifications say is complete is read at once, whatever its time stamp says.
        self._at_once = replace(config, index=replace(config.index, settle=float("-inf")))
        self._hasher = _Hasher(catalog, notify, cancel) if config.watch.hash else None

    def run(self, rows: Sequence[RootRow]) -> None:
        """Watch until the cancel event is set."""
        self._roots = {row.id: _Root(row) for row in rows}
        if self._hasher is not None:
            self._hasher.start()
        with suppress(Cancelled):
            while not self._cancel.is_set():
                self._check_health()
                self._take_small()
                root_id = self._pending.take_whole()
                if root_id is not None:
                    self._compare_whole(root_id)
                elif self._pending.wake.wait(0.1):
                    self._cancel.wait(self._pause)

    def close(self) -> None:
        """End all threads."""
        self._observing.close()
        if self._hasher is not None:
            self._hasher.close()

    # Roots come and go

    def _check_health(self) -> None:
        """Watch roots that are new or back, let go of those that went, poll, compare anew."""
        now = time.monotonic()
        if now - self._checked_at < _HEALTH_EVERY and self._checked_at:
            return
        self._checked_at = now
        for root_id, root in self._roots.items():
            identity = _identity(root.row.folder)
            if identity != root.identity:
                self._observing.unwatch(root_id)
                gone = identity is None
                root.identity, root.links = identity, set()
                if gone:
                    root.told = None
                    self._notify(Lost(root.row.folder))
                else:
                    self._begin(root_id, root)
            elif identity is not None and now - root.compared_at >= self._interval(root):
                self._pending.whole(root_id)
        for root_id in [one for one, due in self._again.items() if due <= now]:
            del self._again[root_id]
            self._pending.whole(root_id)

    def _begin(self, root_id: int, root: _Root) -> None:
        folder = root.row.folder
        reason = polling_reason(folder, self._config.watch.observer)
        root.native = reason is None
        if reason is None:
            try:
                # Watched before it is compared: nothing can fall between the two.
                self._observing.watch(root_id, folder, folder)
            except Unwatchable as error:
                root.native, reason = False, str(error)
                self._observing.unwatch(root_id)
        self._tell_kind(root, reason)
        self._pending.whole(root_id)

    def _tell_kind(self, root: _Root, reason: str | None) -> None:
        text = reason or "by the system's notifications"
        if root.told != (root.native, text):
            root.told = root.native, text
            self._notify(Watching(root.row.folder, root.native, text))

    def _interval(self, root: _Root) -> float:
        if not root.native:
            return self._config.watch.poll_interval
        return self._config.watch.rescan_interval or float("inf")

    def _on_overflow(self) -> None:
        self._notify(Remark("notifications were lost: everything is compared again", warning=True))
        for root_id in self._roots:
            self._pending.whole(root_id)

    def _watch_links(self, root_id: int, session: Session) -> None:
        """Watch the folders elsewhere that links in a root lead to."""
        root = self._roots[root_id]
        for real, link in session.links.get(root_id, {}).items():
            if root.native and link not in root.links:
                root.links.add(link)
                try:
                    self._observing.watch(root_id, Path(real), root.row.folder / link)
                except Unwatchable as error:
                    root.native = False
                    self._tell_kind(root, f"{link}: {error}")

    # Comparing

    def _take_small(self) -> None:
        """Look at single files and folders; called between the batches of whole roots as well."""
        if self._busy:
            return
        for work in self._pending.take(_AT_ONCE):
            root = self._roots.get(work.root_id)
            if root is None or root.identity is None:
                continue
            if work.files:
                scopes = single(root.row.folder, work.files)
                self._compare(Place(root.row, scopes), self._at_once)
            if work.folders:
                scopes = [_folder_scope(root.row.folder, one) for one in work.folders]
                self._compare(Place(root.row, scopes), self._config)

    def _compare_whole(self, root_id: int) -> None:
        root = self._roots[root_id]
        if root.identity is None:
            return
        root.compared_at = time.monotonic()
        session = self._compare(Place(root.row, [Scope()]), self._config, whole=True)
        root.compared_at = time.monotonic()
        if session is not None:
            self._watch_links(root_id, session)

    def _compare(self, place: Place, config: Config, *, whole: bool = False) -> Session | None:
        self._busy = not whole
        try:
            session, _ = compare_places(
                [place],
                config=config,
                catalog=self._catalog,
                listener=self._on_progress,
                cancel=self._cancel,
                wait=0.0,
                tell=self._tell,
                interlude=self._take_small if whole else None,
            )
        except CatalogLocked as error:
            # Somebody writes for long: nothing is lost, everything is compared again.
            self._notify(Remark(error.message, warning=True))
            self._again[place.row.id] = time.monotonic() + _TRY_AGAIN
            return None
        finally:
            self._busy = False
        for one in session.restless:
            path = session.absolute(one.root_id, one.seen.path)
            self._pending.file_seen(one.root_id, path, self._config.index.settle)
        return session

    def _tell(self, happening: Happening) -> None:
        self._notify(happening)
        if self._hasher is not None and happening.what in (Happened.INDEXED, Happened.FAULTY):
            self._hasher.wake.set()

    def _on_progress(self, event: ProgressEvent) -> None:
        if isinstance(event, Notice):
            self._notify(Remark(event.text, event.warning))


class _Hasher:
    """The thread that hashes when there is nothing better to do with the processor."""

    def __init__(
        self, catalog: Catalog, notify: Callable[[Told], None], cancel: threading.Event
    ) -> None:
        self._catalog, self._notify, self._cancel = catalog, notify, cancel
        self.wake = threading.Event()
        self.wake.set()
        self._thread = threading.Thread(target=self._run, name="hasher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Wait for the thread, which ends with the cancel event."""
        self._cancel.set()
        self.wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        from modelhub.services.index.hashing import hash_waiting

        with suppress(OSError, AttributeError):  # Linux counts it by thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._cancel.is_set():
            if not self.wake.wait(0.5):
                continue
            self.wake.clear()
            try:
                hash_waiting(
                    self._catalog,
                    listener=self._on_progress,
                    cancel=self._cancel,
                    tell=self._notify,
                )
            except Cancelled:
                return
            except ModelhubError as error:
                self._notify(Remark(f"hashing: {error.message}", warning=True))
                if self._cancel.wait(_TRY_AGAIN):
                    return
                self.wake.set()

    def _on_progress(self, event: ProgressEvent) -> None:
        if isinstance(event, Notice):
            self._notify(Remark(event.text, event.warning))


def _folder_scope(root: Path, folder: Path) -> Scope:
    relative = folder.relative_to(root)
    return Scope() if relative == Path() else Scope(folder=f"{relative}/")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
