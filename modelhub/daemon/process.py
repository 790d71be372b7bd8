"""The daemon's process: what it consists of, how it begins, and how it ends.

One runs for each library on a host: it holds a lock, which the system lets go of however the
process ends, so that nothing that was left behind (lock file, state file, socket) keeps the next
one from starting. It stops within a few seconds: running jobs are stopped where they are and
parked, and the next daemon goes on with them; what a kill cuts off, it goes on with as well.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import filelock

from modelhub import __version__
from modelhub.daemon.control import Answer, ControlSocket
from modelhub.daemon.parts import Parts
from modelhub.errors import AlreadyRunning, DaemonFailed, DiskError
from modelhub.services.jobs.place import JobsPlace, jobs_place
from modelhub.services.jobs.store import JobRequests, open_jobs

if TYPE_CHECKING:
    from modelhub.config import Config

_log = logging.getLogger(__name__)
_LOCK_PATIENCE = 2.0
"""Seconds: others try the lock for a moment to see whether a daemon runs."""
_HEARS_SIGNALS = 1.0
"""Seconds: a signal may reach another thread; the main one, which handles it, has to wake up."""
_EVENTS_EVERY = 0.2
_QUIET = 2.0


class Daemon:
    """A library's daemon.

    :param load: reads the settings, at the start and when they are to be reloaded.
    """

    def __init__(self, load: Callable[[], Config]) -> None:
        self._load = load
        self.config = load()
        self.place = jobs_place(self.config)
        self._stop = threading.Event()
        self._parts: Parts | None = None

    def stop(self) -> None:
        """Have :meth:`run` come to its end; from any thread, or a signal's handler."""
        self._stop.set()

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Work until it is stopped.

        :param ready: called once it does.
        :raises AlreadyRunning: another daemon runs for this library.
        :raises MissingExtra: the engine is not installed.
        :raises ModelhubError: the jobs database or the socket cannot be used.
        """
        with only_one(self.place), open_jobs(self.config) as database:
            parts = self._parts = Parts(self, database)
            control = ControlSocket(self.place.socket, self._answers(parts))
            try:
                parts.start()
                control.open()
                _log.info("daemon begins", extra={"pid": os.getpid(), "version": __version__})
                if ready is not None:
                    ready()
                while not self._stop.wait(_HEARS_SIGNALS):
                    parts.tend()
            finally:
                _log.info("daemon ends")
                parts.stop()
                control.close()
                _log.info("daemon ended")

    def reload(self) -> None:
        """Read the settings again; jobs that run keep those that they began with.

        :raises ConfigError: they are wrong; those in effect stay.
        :raises DaemonFailed: they are those of another library.
        """
        config = self._load()
        if jobs_place(config) != self.place:
            raise DaemonFailed(
                "the settings name another library", hint="stop the daemon, and start it again"
            )
        self.config = config
        if self._parts is not None:
            self._parts.reload()
        _log.info("settings are read again")

    def _answers(self, parts: Parts) -> dict[str, Answer]:
        """What is asked at the socket, and what answers it."""

        def stop(_question: Mapping[str, Any]) -> dict[str, Any]:
            self._stop.set()
            return {"stopping": True, "pid": os.getpid()}

        def reload(_question: Mapping[str, Any]) -> dict[str, Any]:
            self.reload()
            return {"reloaded": True}

        def wake(_question: Mapping[str, Any]) -> dict[str, Any]:
            parts.dispatcher.ring()
            return {"awake": True}

        def preview(question: Mapping[str, Any]) -> dict[str, Any]:
            return {"png": base64.b64encode(parts.preview(question.get("job"))).decode()}

        return {
            "ping": lambda _: {"pid": os.getpid(), "version": __version__},
            "wake": wake,
            "status": lambda _: parts.status(),
            "preview": preview,
            "metrics": lambda _: {"text": parts.figures()},
            "stop": stop,
            "reload": reload,
            "events": lambda _: events(parts.requests, self._stop),
        }


def events(requests: JobRequests, stopped: threading.Event) -> Iterator[dict[str, Any]]:
    """Each job as it changes, and an empty event at the start and every few quiet seconds."""
    from modelhub.services.jobs.plain import to_plain

    since = requests.last_change()
    quiet = time.monotonic()
    yield {}
    while not stopped.wait(_EVENTS_EVERY):
        changed, since = requests.changed_since(since)
        for job in changed:
            yield {"job": to_plain(job)}
        if changed:
            quiet = time.monotonic()
        elif time.monotonic() - quiet > _QUIET:
            quiet = time.monotonic()
            yield {}


@contextmanager
def only_one(place: JobsPlace) -> Iterator[None]:
    """Hold the library's lock, with a file beside that tells of this process.

    :raises AlreadyRunning: another process holds it.
    """
    lock = filelock.FileLock(place.lock, timeout=_LOCK_PATIENCE, mode=0o600)
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise AlreadyRunning(
            f"a daemon runs for this library already: it holds {place.lock}",
            hint="`modelhub daemon status` tells about it",
        ) from error
    except OSError as error:
        raise DiskError(f"cannot lock {place.lock}: {error.strerror}") from error
    try:
        about = {"pid": os.getpid(), "version": __version__, "started": time.time()}
        with suppress(OSError):
            # For people; nothing of ours depends on it.
            place.state.write_text(json.dumps(about), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            place.state.unlink(missing_ok=True)
        lock.release()
