"""The engine: DBOS, with a queue for each kind of job and one workflow for all of them.

A workflow is a job's run: it is begun once, in the order and within the limit of its queue, and
begun again after a crash. Its id is that of the job with the generation of the run, so that giving
it to the engine twice is giving it once.

Nothing leaves the machine: neither DBOS's cloud nor its conductor nor traces are configured, and
variables that would are taken out of the environment before it is imported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.daemon.insides import SELDOM, Places, patient_threads
from modelhub.daemon.pace import Pace
from modelhub.errors import MissingExtra
from modelhub.services.jobs.place import JobsPlace
from modelhub.services.jobs.store.working import Turn

_log = logging.getLogger(__name__)

APPLICATION = "modelhub"
PROTOCOL = "1"
"""The engine's version of our workflows. It changes only when a run in the queue could not be
understood by the new code, never with a release: or an upgrade would leave queued runs behind."""
_WORKFLOW = "modelhub.job"
_OPEN = ["ENQUEUED", "PENDING", "DELAYED"]
_URGENCY = 1 << 20
"""Added to a priority: DBOS knows no negative ones."""
_WITH_WORK = 2.0
_CONNECTIONS = 8
"""To a server, which has only so many for all hosts; each is held for a moment at a time."""
_STATEMENTS = 32
"""That a connection keeps prepared: they take more memory than all else that it has."""
_TO_NOTICE_THE_END = 0.5
"""Seconds between two looks of its listener: it has nothing to look for, and costs nothing."""

Perform = Callable[[str, int, str], None]
"""Does the run of a job: its id, its generation, and its kind, or nothing where that is unknown."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many jobs of a queue run at a time.

    :param at_once: on this host.
    :param by_lane: in each lane: on each device, each disk. None: there are no lanes.
    """

    at_once: int | None = None
    by_lane: int | None = None


class Engine:
    """DBOS on the jobs database. One a process.

    :param host: the name of this machine; its unfinished runs are taken up again at the start.
    :param longest: seconds after which a queue is looked into even when nobody has told of work.
    """

    def __init__(
        self, place: JobsPlace, host: str, limits: Mapping[str, Limit], *, longest: float
    ) -> None:
        self._place, self._limits = place, dict(limits)
        # A file is one machine's, whatever its name is today.
        self._executor = host if place.path is None else "local"
        self._longest = longest
        self._pace = Pace(longest)
        self._dbos: Any = None
        self._places: Places | None = None
        self._kinds: dict[str, str] = {}

    def start(self, perform: Perform) -> None:
        """Start the threads, and take up the runs that were cut off.

        :param perform: called for each run in a thread of its own.
        :raises MissingExtra: DBOS is not installed.
        """
        dbos = _imported()
        engine = None if self._place.path is None else _sqlite_engine(self._place.path)
        self._dbos = dbos.DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self._place.url,
                "system_database_engine": engine,
                "application_version": PROTOCOL,
                "executor_id": self._executor,
                "log_level": "WARNING",
                "enable_otlp": False,
                "notification_listener_polling_interval_sec": _TO_NOTICE_THE_END,
                "scheduler_polling_interval_sec": SELDOM,
                "sys_db_pool_size": _CONNECTIONS,
            }
        )
        _register(dbos, self._performed_by(perform))
        if self._place.path is None:
            self._dbos.listen_queues([self._queue(kind) for kind in self._limits])
        with patient_threads(self._pace):
            dbos.DBOS.launch()
        self._places = Places.of(self._dbos, self._pace)
        self.limit(self._limits)

    def _performed_by(self, perform: Perform) -> Callable[[str, int], None]:
        def run(job_id: str, generation: int) -> None:
            # Of one that another process was given, the kind is not known here.
            perform(job_id, generation, self._kinds.pop(workflow_id(job_id, generation), ""))

        return run

    def limit(self, limits: Mapping[str, Limit]) -> None:
        """Set how many jobs of each kind run at a time, from now on."""
        self._limits = dict(limits)
        if self._places is not None:
            self._places.forget_queues()
        for kind, limit in self._limits.items():
            self._dbos.register_queue(
                self._queue(kind),
                worker_concurrency=limit.at_once,
                partition_worker_concurrency=limit.by_lane,
                polling_interval_sec=1.0,
                on_conflict="always_update",
            )
        if self._places is not None:
            self._places.forget_queues()

    def hand(self, turns: Iterable[tuple[Turn, str]]) -> None:
        """Put runs into their queues, each in its lane."""
        for turn, lane in turns:
            options: dict[str, Any] = {
                "workflow_name": _WORKFLOW,
                "queue_name": self._queue(turn.kind),
                "workflow_id": workflow_id(turn.id, turn.generation),
                "app_version": PROTOCOL,
                "priority": min(max(turn.priority + _URGENCY, 1), 2 * _URGENCY),
            }
            if self._limits[turn.kind].by_lane is not None:
                options["queue_partition_key"] = lane or "any"
            self._kinds[options["workflow_id"]] = turn.kind
            self._dbos.enqueue_workflow_with_options(options, turn.id, turn.generation)

    def wake(self, kind: str) -> None:
        """Have the queue of a kind looked into now."""
        self._pace.wake(self._queue(kind))

    def leave(self, job_id: str, generation: int) -> None:
        """Let the next run in, though the end of this one is not written yet."""
        if self._places is not None:
            self._places.leave(workflow_id(job_id, generation))

    def ended(self, kind: str) -> None:
        """A run of a kind is about to end, and its place in the queue to come free."""
        if self._places is None:
            self.wake(kind)

    def expect(self, work: bool) -> None:
        """Say whether it has anything to do: then it looks for it now and then without being woken,
        since a machine that is very busy may be late with what it was woken for."""
        self._pace.let_wait(min(_WITH_WORK, self._longest) if work else self._longest)

    def open_runs(self) -> set[str]:
        """The ids of the runs that it has not finished, and will: not those of another protocol."""
        found = self._dbos.list_workflows(
            status=_OPEN,
            name=_WORKFLOW,
            app_version=PROTOCOL,
            queue_name=[self._queue(kind) for kind in self._limits],
            load_input=False,
            load_output=False,
        )
        return {one.workflow_id for one in found}

    def _queue(self, kind: str) -> str:
        """The name of a kind's queue: on a server, each host has its own, with its own limits."""
        name = f"modelhub-{kind}"
        return name if self._place.path is not None else f"{name}@{self._executor}"

    def forget(self, *, keep: int) -> None:
        """Delete what it remembers of runs that have ended, but for the last ones."""
        ended = self._dbos.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            name=_WORKFLOW,
            load_input=False,
            load_output=False,
            sort_desc=True,
            offset=keep,
            limit=10_000,
        )
        if ended:
            self._dbos.delete_workflows([one.workflow_id for one in ended])

    def stop(self) -> None:
        """End its threads. Runs that have not ended are begun again at the next start."""
        self._pace.stop()
        if self._dbos is not None:
            self._dbos.destroy()
            self._dbos = None


def workflow_id(job_id: str, generation: int) -> str:
    """The engine's id of a run."""
    return f"{job_id}.{generation}"


def _imported() -> Any:
    for name in [name for name in os.environ if name.startswith("DBOS_")]:
        del os.environ[name]
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        # It would print to the terminal otherwise.
        logger.addHandler(logging.NullHandler())
    try:
        import dbos
    except ImportError as error:
        raise MissingExtra(
            f"the daemon needs the package dbos, which cannot be imported: {error}",
            hint="pip install 'modelhub[daemon]'",
        ) from error
    return dbos


def _register(dbos: Any, perform: Callable[[str, int], None]) -> None:
    """Make `perform` the one step of the workflow of all jobs."""

    def run(job_id: str, generation: int) -> None:
        dbos.DBOS.run_step({"name": "work"}, perform, job_id, generation)

    dbos.DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)(run)


def _sqlite_engine(path: os.PathLike[str]) -> Any:
    """As DBOS makes one itself, but that a commit is in the write-ahead log and not on the platter:
    a power cut may take back the last moments of the engine, and never the order of what is left,
    so that at worst a run is begun again."""
    from sqlalchemy import create_engine, event

    engine = create_engine(
        f"sqlite:///{os.fspath(path)}",
        connect_args={"cached_statements": _STATEMENTS},
        pool_size=8,
        max_overflow=-1,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -1024")

    return engine
