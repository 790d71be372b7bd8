"""From the table of jobs to the engine: what is due is handed over, what is to stop is stopped."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from modelhub.daemon.engine import Engine, workflow_id
from modelhub.daemon.lanes import lane_of
from modelhub.daemon.running import Reason, Running
from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind
from modelhub.services.jobs.store.rows import KINDS
from modelhub.services.jobs.store.suspects import Suspects
from modelhub.services.jobs.store.working import JobWork, Turn

_log = logging.getLogger(__name__)
_LOOK_EVERY = 0.25
_TOGETHER = 0.1
_RECONCILED_EVERY = 300.0
_ROOM = 12
"""Jobs of a kind that wait in the engine at most; of kinds with lanes, more."""
_ROOM_OF_LANES = 64
_LANES = (JobKind.HASH, JobKind.RENDER)


class Dispatcher:
    """The thread that keeps the engine supplied, and hears what users want of running jobs.

    :param path: of the jobs database, where it is a file: another process's change of it is seen
        within a moment, at no cost, without being told.
    """

    def __init__(
        self,
        work: JobWork,
        suspects: Suspects,
        engine: Engine,
        running: Running,
        path: Path | None,
    ) -> None:
        self._work, self._suspects = work, suspects
        self._engine, self._running = engine, running
        self._changes = None if path is None else _Changes(path)
        self._bell = threading.Event()
        self._stop = threading.Event()
        self._ends = 0
        self._reconciled_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """See that the engine has what it should have, and start the thread."""
        self.reconcile()
        self._bell.set()
        self._thread.start()

    def stop(self) -> None:
        """Hand over no more."""
        self._stop.set()
        self._bell.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def look_every(self) -> float:
        """Seconds between two looks when nobody rings."""
        return _LOOK_EVERY

    def ring(self) -> None:
        """Look now."""
        self._bell.set()

    @property
    def enough(self) -> int:
        """So many ends of jobs are worth a look: until then the engine has others in stock."""
        return _ROOM // 2

    def told(self, kind: str) -> None:
        """A job has ended: its queue has room."""
        self._engine.ended(kind)
        self._ends += 1
        if self._ends >= self.enough or not self._running.ids():
            self._bell.set()

    def reconcile(self) -> None:
        """Hand over anew what the engine should have and has not.

        Both keep their rows in one database and each in transactions of its own: a crash between
        two of them, or an old copy of the file put back, may leave a job that nobody would begin.
        """
        self._reconciled_at = time.monotonic()
        # In this order: what comes to its end meanwhile is no loss, and its row says so by then.
        handed = self._work.open_handed()
        open_runs = self._engine.open_runs() if handed else set()
        at_work = set(self._running.ids())
        lost = {
            job_id: run
            for job_id, run in handed.items()
            if job_id not in at_work and workflow_id(job_id, run) not in open_runs
        }
        if lost:
            _log.warning("jobs are handed over anew", extra={"jobs": list(lost)})
            self._work.hand_again(lost)

    def _run(self) -> None:
        next_try: float | None = None
        while not self._stop.is_set():
            rung = self._bell.wait(self.look_every)
            self._bell.clear()
            if self._stop.is_set() or not (rung or self._is_due(next_try) or self._changed()):
                continue
            try:
                self._ends = 0
                self._reconcile_seldom()
                self._stop_unwanted()
                next_try = self._hand_over()
                # What happens within a moment is dealt with together.
                self._stop.wait(_TOGETHER)
            except ModelhubError as error:
                _log.error("jobs are not handed over now", extra={"why": error.message})
                self._later()
            except Exception:
                # Of the engine: its server is away for a moment.
                _log.exception("jobs are not handed over now")
                self._later()

    def _later(self) -> None:
        self._stop.wait(1.0)
        self._bell.set()

    @staticmethod
    def _is_due(when: float | None) -> bool:
        return when is not None and when <= time.time()

    def _changed(self) -> bool:
        return self._changes is None or self._changes.seen()

    def _reconcile_seldom(self) -> None:
        if time.monotonic() - self._reconciled_at > _RECONCILED_EVERY:
            self.reconcile()

    def _hand_over(self) -> float | None:
        self._work.settle()
        for kind in self._work.kinds_waiting():
            if kind not in KINDS:
                continue  # of a later modelhub, which will do it
            room = _ROOM_OF_LANES if kind in _LANES else _ROOM
            self._give(self._work.turns(kind, room))
        suspect = self._suspects.turn()
        if suspect is not None:
            self._give([suspect])
        self._engine.expect(bool(self._work.open_handed()))
        return self._work.next_try()

    def _give(self, turns: Sequence[Turn]) -> None:
        """Give runs of one kind to the engine."""
        if turns:
            self._engine.hand((turn, lane_of(turn.kind, turn.arguments)) for turn in turns)
            self._work.handed(turns)
            self._engine.wake(turns[0].kind)

    def _stop_unwanted(self) -> None:
        for job_id, what in self._work.wanted(self._running.generations()).items():
            self._running.stop(job_id, Reason(what))


class _Changes:
    """Whether anybody else has written to an SQLite file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version = -1

    def seen(self) -> bool:
        """Whether there was a change; asked by one thread only."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path)
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            self._connection = None
            return True
        before, self._version = self._version, version
        return bool(version != before)
