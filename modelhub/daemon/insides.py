"""Where the engine's own pace is replaced by ours.

These are places inside DBOS that it promises nobody. Where a later one has others, its own ways
stay: jobs begin and follow each other a little more slowly, and an idle daemon costs more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from modelhub.daemon.pace import Pace, Patience

_log = logging.getLogger(__name__)
SELDOM = 60.0
_QUEUES, _SCHEDULER = "queue_thread", "dynamic_scheduler_loop"
_ACTIVE, _DATABASE = "_active_workflows_set", "_sys_db"
_SWEEP = "_BACKGROUND_JOBS_INTERVAL_SEC"


@contextmanager
def patient_threads(pace: Pace) -> Iterator[None]:
    """While the engine is launched, its threads get our pace to wait by.

    Where a later DBOS has other places for that, its own pace stays: once a second, at some cost.
    """
    import dbos._dbos as module
    from dbos import _workflow_commands

    theirs = {name: getattr(module, name, None) for name in (_QUEUES, _SCHEDULER)}
    if None in theirs.values() or not hasattr(_workflow_commands, _SWEEP):
        _log.warning("this version of dbos keeps its own pace: an idle daemon costs more")
        yield
        return
    run_queues: Any = theirs[_QUEUES]

    def patient(stop: threading.Event, instance: Any) -> None:
        run_queues(Patience(stop, pace), instance)

    setattr(module, _QUEUES, patient)
    # Of its schedules we have none: ours look at the jobs that there were.
    setattr(module, _SCHEDULER, lambda *_: None)
    # It looks for delayed runs and those that took too long: we have neither.
    setattr(_workflow_commands, _SWEEP, SELDOM)
    try:
        yield
    finally:
        for name, function in theirs.items():
            setattr(module, name, function)


class Places:
    """The places in the queues that runs take, and when each comes free. Any thread may use it."""

    def __init__(self, instance: Any, pace: Pace) -> None:
        self._pace = pace
        self._entries: dict[str, Any] = {}
        self._queues: dict[str, Any] = {}
        active, database = instance._active_workflows_set, instance._sys_db
        self._add, self._remove, self._get_queue = active.add, active._remove, database.get_queue
        vars(active).update(add=self._added, _remove=self._removed)
        # All runs are of one version, and a queue is changed by nobody else: neither is looked up
        # for each run.
        vars(database).update(_is_latest_version=lambda *_: False, get_queue=self._queue)

    @classmethod
    def of(cls, instance: Any, pace: Pace) -> Self | None:
        """Those of a launched engine; None where this DBOS keeps them otherwise."""
        active, database = (getattr(instance, one, None) for one in (_ACTIVE, _DATABASE))
        if all(hasattr(active, one) for one in ("add", "_remove")) and all(
            hasattr(database, one) for one in ("_is_latest_version", "get_queue")
        ):
            return cls(instance, pace)
        _log.warning("this version of dbos tells of no ends: jobs follow each other more slowly")
        return None

    def leave(self, run: str) -> None:
        """Free the place of a run that is at its end."""
        entry = self._entries.pop(run, None)
        if entry is not None:
            entry.release()

    def forget_queues(self) -> None:
        """Have the queues looked up anew: they were changed."""
        self._queues.clear()

    def _added(self, run: str, *where: Any, **more: Any) -> Any:
        entry = self._entries[run] = self._add(run, *where, **more)
        return entry

    def _removed(self, run: str, bucket: Any) -> None:
        self._entries.pop(run, None)
        self._remove(run, bucket)
        if bucket is not None:
            self._pace.wake(bucket[0])

    def _queue(self, name: str, **more: Any) -> Any:
        found = self._queues.get(name)
        if found is None or more:
            found = self._get_queue(name, **more)
        if found is not None and not more:
            self._queues[name] = found
        return found
