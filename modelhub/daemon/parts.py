"""The parts of a running daemon, in the order in which they begin; they end in the other one."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from modelhub import __version__
from modelhub.daemon.claiming import ClaimingDispatcher
from modelhub.daemon.crashes import Crashes
from modelhub.daemon.devices import HostDevices
from modelhub.daemon.dispatch import Dispatcher
from modelhub.daemon.engine import Engine
from modelhub.daemon.lanes import limits, most_at_once, slots
from modelhub.daemon.means import Means
from modelhub.daemon.membership import Membership, identity
from modelhub.daemon.memory import keep_arenas_few, keep_caches_small
from modelhub.daemon.metrics import MetricsServer, figures, resident_bytes
from modelhub.daemon.perform import Performer
from modelhub.daemon.running import Running
from modelhub.daemon.schedule import Schedule
from modelhub.daemon.telling import Teller
from modelhub.daemon.watching import Watcher
from modelhub.services.jobs.store import (
    Claims,
    HostLease,
    JobDatabase,
    JobRequests,
    JobWork,
    Suspects,
)

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.daemon.process import Daemon

_log = logging.getLogger(__name__)
_STOP_PATIENCE = 20.0
_LOOKS_AT_ALL = 60.0
_RESTS_AFTER = 2.0
"""Seconds without a job: the next of many may begin a moment after the last."""


class Parts:
    """The parts of a daemon.

    :param daemon: whose settings they go by.
    """

    def __init__(self, daemon: Daemon, database: JobDatabase) -> None:
        self._daemon = daemon
        self._began = time.time()
        place, host = daemon.place, host_name(daemon.config)
        self.requests = JobRequests(database)
        self._work = JobWork(database, host)
        self._suspects = Suspects(database)
        self._crashes = Crashes(place.crash)
        self._engine = Engine(place, host, limits(daemon.config), longest=_LOOKS_AT_ALL)
        self._running = Running()
        self._means = Means(daemon.config)
        self._teller = Teller(lambda: daemon.config, self.requests.get)
        self._membership: Membership | None = None
        self._devices: HostDevices | None = None
        if place.path is None:
            self.dispatcher, self._membership = self._among_hosts(database, host)
        else:
            self.dispatcher = Dispatcher(
                self._work, self._suspects, self._engine, self._running, place.path
            )
        self._performer = Performer(
            self._work,
            self._running,
            self._means,
            most=lambda kind: most_at_once(daemon.config, kind),
            leave=self._engine.leave,
            told=self.dispatcher.told,
            ended=self._teller.ended,
        )
        self._watcher = Watcher(lambda: daemon.config)
        self._schedule = Schedule(
            lambda: daemon.config, self.requests, self._work, self._engine, self.dispatcher.ring
        )
        self._metrics: MetricsServer | None = None

    def _among_hosts(self, database: JobDatabase, host: str) -> tuple[Dispatcher, Membership]:
        """What a host needs that shares its jobs with others on a server."""
        daemon = self._daemon
        own = identity(daemon.place.folder / f"{daemon.place.stem}.host")
        lease = HostLease(database, host, own, daemon.config)
        self._devices = devices = HostDevices(daemon.config, lease.renders_on)
        dispatcher = ClaimingDispatcher(
            self._work,
            self._suspects,
            self._engine,
            self._running,
            Claims(database, lease),
            slots(daemon.config),
            devices.look,
        )
        return dispatcher, Membership(lease, self._running, dispatcher.ring, dispatcher.tend)

    def start(self) -> None:
        """Start all.

        :raises MissingExtra: the engine is not installed.
        :raises DaemonFailed: the metrics' port is taken.
        :raises HostNameTaken: another host does jobs under this one's name.
        """
        keep_arenas_few()
        keep_caches_small()
        self._serve_metrics()
        self._teller.start()
        if self._membership is not None:
            self._membership.join()
        self._account_for_what_was_cut_off()
        self._engine.start(self._performer.perform)
        self.dispatcher.start()
        self._watcher.start()
        self._schedule.start()

    def _account_for_what_was_cut_off(self) -> None:
        """Count what runs by the table: of this host alone, where others are at work."""
        config, crashed = self._daemon.config, self._crashes.begin()
        host = host_name(config) if self._daemon.place.path is None else None
        wanted = config.jobs
        self._suspects.account(wanted.attempts, crashed=crashed, pause=wanted.backoff, host=host)

    def tend(self) -> None:
        """What is seen to every second or so: what jobs shared is let go of once there are none."""
        if self._running.quiet_since(_RESTS_AFTER):
            try:
                self._means.rest()
            except Exception:
                _log.exception("what jobs shared could not be closed")

    def stop(self) -> None:
        """End all; jobs are stopped where they are, and parked for the next daemon."""
        self._schedule.stop()
        self.dispatcher.stop()
        self._performer.admit_no_more()
        if not self._running.close(_STOP_PATIENCE):
            # What does not stop in time is cut off, and taken up as after a kill.
            _log.warning("jobs did not stop in time", extra={"jobs": self._running.ids()})
        self._performer.close()
        self._watcher.stop()
        if self._membership is not None:
            self._membership.leave()
        self._means.close()
        self._teller.stop()
        if self._metrics is not None:
            self._metrics.close()
        self._engine.stop()
        self._crashes.end()

    def reload(self) -> None:
        """Go by the daemon's settings as they are now."""
        self._means.reload(self._daemon.config)
        self._engine.limit(limits(self._daemon.config))
        if isinstance(self.dispatcher, ClaimingDispatcher):
            self.dispatcher.limit(slots(self._daemon.config))
        if self._devices is not None:
            self._devices.configure(self._daemon.config)
        self._watcher.restart()
        self._serve_metrics()
        self.dispatcher.ring()

    def _serve_metrics(self) -> None:
        port = self._daemon.config.daemon.metrics_port
        if self._metrics is not None:
            if self._metrics.port == port:
                return
            self._metrics.close()
            self._metrics = None
        if port:
            self._metrics = MetricsServer(port, self.figures)

    def status(self) -> dict[str, Any]:
        """What the daemon is at."""
        counts = self.requests.counts()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started": self._began,
            "resident_bytes": resident_bytes(),
            "cpu_seconds": time.process_time(),
            "jobs": {state.value: number for state, number in counts.items()},
            "at_work": self._running.by_kind(),
            "watch": self._watcher.standing.plain(),
        }

    def preview(self, job_id: object) -> bytes:
        """The picture of a render that runs here as far as it is: a small PNG, or nothing."""
        return self._performer.previews.get(str(job_id), b"")

    def figures(self) -> str:
        """Its figures, as Prometheus reads them."""
        return figures(
            self.requests.counts_by_kind(),
            self._running.by_kind(),
            dict(self._performer.runs),
            self._began,
            __version__,
        )


def host_name(config: Config) -> str:
    """The name of this host, which its jobs carry."""
    return config.team.host or socket.gethostname() or "localhost"
