"""The daemon's process: what it consists of, how it begins, and how it ends.

One runs for each library on a host: it holds a lock, which the system lets go of however the
process ends, so that nothing that was left behind (lock file, state file, socket) keeps the next
one from starting. It stops within a few seconds: running jobs are stopped where they are and
parked, and the next daemon goes on with them; what a kill cuts off, it goes on with as well.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import filelock

from modelhub import __version__
from modelhub.daemon.control import ControlSocket
from modelhub.daemon.dispatch import Dispatcher
from modelhub.daemon.engine import Engine
from modelhub.daemon.lanes import limits
from modelhub.daemon.means import Means
from modelhub.daemon.perform import Performer
from modelhub.daemon.running import Running
from modelhub.errors import AlreadyRunning, DiskError, ModelhubError
from modelhub.services.jobs.place import JobsPlace, jobs_place
from modelhub.services.jobs.store import JobRequests, JobWork, open_jobs

if TYPE_CHECKING:
    from modelhub.config import Config

_log = logging.getLogger(__name__)
_LOCK_PATIENCE = 2.0
"""Seconds: others try the lock for a moment to see whether a daemon runs."""
_STOP_PATIENCE = 20.0
_LOOKS_FOR_OTHERS = 1.0
"""Seconds between two looks into queues that other hosts fill as well."""
_LOOKS_AT_ALL = 60.0


class Daemon:
    """A library's daemon.

    :param load: reads the settings, at the start and when they are to be reloaded.
    """

    def __init__(self, load: Callable[[], Config]) -> None:
        self._load = load
        self._config = load()
        self._place = jobs_place(self._config)
        self._stop = threading.Event()
        self._began = time.time()
        self._running = Running()
        self._means = Means(self._config)

    @property
    def place(self) -> JobsPlace:
        """Where its jobs, lock, socket and logs are."""
        return self._place

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
        with _only_one(self._place), open_jobs(self._config) as database:
            host = host_name()
            work = JobWork(database, host)
            shared = self._place.path is None
            engine = Engine(
                self._place,
                host,
                limits(self._config),
                longest=_LOOKS_FOR_OTHERS if shared else _LOOKS_AT_ALL,
            )
            self._engine = engine
            self._requests = JobRequests(database)
            self._dispatcher = Dispatcher(work, engine, self._running, self._place.path)
            performer = Performer(work, self._running, self._means, self._dispatcher.told)
            control = ControlSocket(self._place.socket, self._answers())
            try:
                engine.start(performer.perform)
                self._dispatcher.start()
                control.open()
                _log.info("daemon begins", extra={"pid": os.getpid(), "version": __version__})
                if ready is not None:
                    ready()
                self._stop.wait()
            finally:
                self._end(engine, control)

    def _end(self, engine: Engine, control: ControlSocket) -> None:
        _log.info("daemon ends")
        self._dispatcher.stop()
        if not self._running.close(_STOP_PATIENCE):
            # What does not stop in time is cut off, and taken up as after a kill.
            _log.warning("jobs did not stop in time", extra={"jobs": self._running.ids()})
        self._means.close()
        control.close()
        engine.stop()
        _log.info("daemon ended")

    def reload(self) -> None:
        """Read the settings again; jobs that run keep those that they began with.

        :raises ConfigError: they are wrong; those in effect stay.
        """
        config = self._load()
        if jobs_place(config) != self._place:
            raise ModelhubError(
                "the settings name another library", hint="stop the daemon, and start it again"
            )
        self._config = config
        self._means.reload(config)
        self._engine.limit(limits(config))
        self._dispatcher.ring()
        _log.info("settings are read again")

    def _answers(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {
            "ping": lambda _: {"pid": os.getpid(), "version": __version__},
            "wake": self._on_wake,
            "status": lambda _: self.status(),
            "stop": self._on_stop,
            "reload": self._on_reload,
            "events": lambda _: self._events(),
        }

    def _on_wake(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        self._dispatcher.ring()
        return {"awake": True}

    def _on_stop(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        self._stop.set()
        return {"stopping": True, "pid": os.getpid()}

    def _on_reload(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        self.reload()
        return {"reloaded": True}

    def status(self) -> dict[str, Any]:
        """What the daemon is at."""
        counts = self._requests.counts()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started": self._began,
            "jobs": {state.value: number for state, number in counts.items()},
            "at_work": self._running.by_kind(),
        }

    def _events(self) -> Iterator[dict[str, Any]]:
        """Each job as it changes, and an empty event every few seconds."""
        from modelhub.services.jobs.plain import to_plain

        since = self._requests.last_change()
        quiet = time.monotonic()
        yield {}
        while not self._stop.wait(0.2):
            changed, since = self._requests.changed_since(since)
            for job in changed:
                yield {"job": to_plain(job)}
            if changed or time.monotonic() - quiet > 2.0:
                quiet = time.monotonic()
                if not changed:
                    yield {}


def host_name() -> str:
    """The name of this machine, which its jobs carry."""
    return socket.gethostname() or "localhost"


@contextmanager
def _only_one(place: JobsPlace) -> Iterator[None]:
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
