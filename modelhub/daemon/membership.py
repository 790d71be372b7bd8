"""A daemon as one of several hosts: it says that it lives, and lets go when it cannot be sure.

Whoever has not renewed its lease for most of its length stops its jobs by itself, before another
host may begin them: a host that was cut off does not go on writing beside the one that has taken
its place.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from modelhub.daemon.running import Reason, Running
from modelhub.errors import DiskError, HostNameTaken, ModelhubError
from modelhub.services.jobs.store import HostLease

_log = logging.getLogger(__name__)
_BEATS = 5
"""Signs of life in the time of a lease."""
_SURE = 0.6
"""Of a lease's length: for so long a host is sure that nobody has taken its jobs over."""


class Membership:
    """The threads that keep a host's lease.

    :param changed: called when jobs of other hosts were freed, and when this host has its lease
        again after it was not sure of it.
    :param tend: called with each sign of life, to see that nothing of this host's was lost.
    """

    def __init__(
        self,
        lease: HostLease,
        running: Running,
        changed: Callable[[], None],
        tend: Callable[[], None],
    ) -> None:
        self._lease, self._running = lease, running
        self._changed, self._tend = changed, tend
        self._stopped = threading.Event()
        self._renewed = _now()
        self._threads = [
            threading.Thread(target=self._keep, name="lease", daemon=True),
            threading.Thread(target=self._guard, name="lease guard", daemon=True),
        ]

    def join(self) -> None:
        """Take the place among the hosts, free what nobody has, and begin to keep the place.

        :raises HostNameTaken: another host of that name is there.
        """
        self._lease.join()
        self._renewed = _now()
        self._lease.take_over()
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Give the place up, and what is in this host's hands."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        try:
            self._lease.leave()
        except ModelhubError as error:
            # Its lease runs out by itself.
            _log.warning("the other hosts are not told", extra={"why": error.message})

    def _keep(self) -> None:
        while not self._stopped.wait(self._lease.seconds / _BEATS):
            try:
                self._beat()
            except HostNameTaken as error:
                _log.error("no jobs are done here", extra={"why": error.message})
            except ModelhubError as error:
                _log.warning("the lease is not renewed", extra={"why": error.message})
            except Exception:
                _log.exception("the lease is not renewed")

    def _beat(self) -> None:
        asked = _now()
        if not self._lease.beat():
            _log.warning("this host was taken for dead: its jobs are others' now")
            self._let_go()
            self._lease.join()
        self._renewed = asked
        taken = self._lease.take_over()
        if taken:
            pairs = [[one.id, one.host] for one in taken]
            _log.warning("jobs are taken over", extra={"jobs": pairs})
            self._changed()
        self._tend()

    def _guard(self) -> None:
        while not self._stopped.wait(self._lease.seconds / _BEATS / 4):
            if _now() - self._renewed > self._lease.seconds * _SURE and self._running.ids():
                _log.warning("the lease could not be renewed: running jobs are stopped")
                self._let_go()

    def _let_go(self) -> None:
        for job_id in self._running.ids():
            self._running.stop(job_id, Reason.GONE)


def identity(path: Path) -> str:
    """What tells this host from another one of the same name, kept in a file.

    :raises DiskError: it can be neither read nor written.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(secrets.token_hex(16), encoding="ascii")
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise DiskError(f"cannot keep who this host is in {path}: {error.strerror}") from error


def _now() -> float:
    """Seconds that go on while the machine sleeps, and that no clock's change touches."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
