"""The watcher in the daemon: begun again when it fails, and when the roots are others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelhub.errors import ModelhubError, RootMissing
from modelhub.services.watch.standing import Standing

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config
    from modelhub.services.watch import Told

_log = logging.getLogger(__name__)
_TOGETHER = 1.5
"""Seconds that notifications are collected for: most are of what the daemon's own jobs write, and
looking at fifty files at once costs little more than looking at one."""
_LOOK_EVERY = 30.0
"""Seconds between two looks at which folders are roots, and until a failed watch is begun again."""


class Watcher:
    """The thread that keeps the catalog in step with the disk.

    :param config: gives the settings in effect.
    """

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self.standing = Standing()
        """How each root stands."""
        self._stopped = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def restart(self) -> None:
        """Begin anew, with the settings that are in effect now."""
        self._again.set()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._again.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        told = ""
        while not self._stopped.is_set():
            self._again.clear()
            if not self._config().daemon.watch:
                self._again.wait()
                continue
            try:
                self._watch()
            except RootMissing as error:
                # No library yet, or its disk is not there: no news each time.
                if told != error.message:
                    _log.info("nothing to watch", extra={"why": error.message})
                told = error.message
                self._again.wait(_LOOK_EVERY)
            except ModelhubError as error:
                _log.error("the watch is begun again", extra={"why": error.message})
                self._again.wait(_LOOK_EVERY)
            except Exception:
                _log.exception("the watch met a bug, and is begun again")
                self._again.wait(_LOOK_EVERY)

    def _watch(self) -> None:
        from modelhub.catalog import open_catalog
        from modelhub.services.watch import watch

        config = self._config()
        cancel = threading.Event()
        self.standing.begin()
        with open_catalog(config) as catalog:
            supervisor = threading.Thread(
                target=self._supervise, args=(catalog, cancel), name="watched roots", daemon=True
            )
            supervisor.start()
            try:
                watch(
                    (),
                    config=config,
                    catalog=catalog,
                    notify=self._note,
                    cancel=cancel,
                    pause=_TOGETHER,
                )
            finally:
                cancel.set()
                supervisor.join()

    def _note(self, told: Told) -> None:
        self.standing.note(told)
        _log_told(told)

    def _supervise(self, catalog: Catalog, cancel: threading.Event) -> None:
        """End the watch when it is to be begun anew, or ended."""
        before: list[tuple[str, bool]] | None = None
        while not cancel.is_set():
            if self._again.wait(0 if before is None else _LOOK_EVERY):
                cancel.set()
                return
            try:
                roots = [(row.path, row.watched) for row in catalog.roots()]
            except ModelhubError:
                continue
            if before is not None and roots != before:
                _log.info("the roots are others now")
                cancel.set()
            before = roots


def _log_told(told: Told) -> None:
    from modelhub.services.watch import Lost, Remark, Watching

    if isinstance(told, Watching):
        about = {"root": str(told.root), "native": told.native, "why": told.reason}
        _log.info("watching", extra=about)
    elif isinstance(told, Lost):
        _log.warning("a root is not there any more", extra={"root": str(told.root)})
    elif isinstance(told, Remark):
        _log.log(logging.WARNING if told.warning else logging.INFO, told.text)
    else:
        about = {"what": told.what, "file": str(told.path), "detail": told.detail}
        _log.info("file", extra=about)
