"""Jobs whose process ended in the middle: which of them may have ended it.

Nobody can ask a process that is gone why: it may have been killed, the power may have failed, or
one of its jobs may take it along each time. What ran at the end is begun again. What was cut off
twice without getting further than ever before is a suspect: suspects are begun one at a time, those
that were blamed least first, and while one runs an end is blamed on it alone. So the innocent come
through soon, and the one that is guilty is found, and left as failed.

Where the process left word that it crashed (a bad access to memory, an abort), that counts as much
as four ends without a word: those may be anybody's doing, also the system's for want of memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, or_, select, update

from modelhub.services.jobs.model import JobState
from modelhub.services.jobs.store.dependents import end_dependents, released
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.rows import KINDS, reached
from modelhub.services.jobs.store.tables import jobs
from modelhub.services.jobs.store.working import SUSPECT, Turn, is_due

_log = logging.getLogger(__name__)
_CRASH = 4
_LONGEST_PAUSE = 3600.0


class Suspects:
    """The daemon's view of jobs that were cut off. Any thread may use it."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def account(
        self, attempts: int, *, crashed: bool, pause: float, host: str | None = None
    ) -> None:
        """Count the cut-offs of what runs by the table, at the start of a daemon.

        What a user wanted of such a job (pause, cancel) holds from now on.

        :param attempts: so many crashes without getting any further make a job fail.
        :param crashed: whether the process left word that it crashed.
        :param pause: seconds until a suspect is begun again; the more it was blamed, the more.
        :param host: only what that host was doing; None: all.
        """
        with self._database.write() as connection:
            query = select(jobs).where(jobs.c.state == JobState.RUNNING)
            if host is not None:
                query = query.where(jobs.c.host == host)
            rows = list(connection.execute(query))
            account_for(connection, rows, attempts, crashed=crashed, pause=pause)

    def turn(self) -> Turn | None:
        """The suspect that may be given to the engine now, if there is one and none is there."""
        with self._database.read() as connection:
            suspect = jobs.c.cut_offs >= SUSPECT
            at_work = jobs.c.state.in_((JobState.WAITING, JobState.RUNNING)), jobs.c.handed
            if connection.scalar(select(jobs.c.id).where(suspect, *at_work).limit(1)) is not None:
                return None
            free = or_(jobs.c.after == "[]", jobs.c.id.in_(released(connection)))
            query = (
                select(jobs.c.id, jobs.c.generation, jobs.c.kind, jobs.c.priority, jobs.c.arguments)
                .where(jobs.c.state == JobState.WAITING, ~jobs.c.handed, suspect, free, is_due())
                .where(jobs.c.kind.in_(KINDS))
                .order_by(jobs.c.cut_offs, jobs.c.priority, jobs.c.created)
                .limit(1)
            )
            row = connection.execute(query).first()
        return None if row is None else Turn(*row)


def account_for(
    connection: Connection, rows: Sequence[Any], attempts: int, *, crashed: bool, pause: float
) -> None:
    """Count the cut-offs of jobs that one process was doing when it ended; see
    :meth:`Suspects.account`."""
    suspected = any(row.cut_offs >= SUSPECT for row in rows)
    weight = _CRASH if crashed else 1
    for row in rows:
        blame = weight if row.cut_offs >= SUSPECT or not suspected else 0
        _account(connection, row, blame, _CRASH * attempts, pause)
    if rows:
        end_dependents(connection)


def _account(connection: Connection, row: Any, blame: int, most: int, pause: float) -> None:
    furthest = max(row.reached, reached(row.progress))
    cut_offs = row.cut_offs + blame if furthest == row.reached else min(blame, 1)
    now = time.time()
    values: dict[str, Any] = {"cut_offs": cut_offs, "reached": furthest}
    anew = {"generation": row.generation + 1, "handed": False, "wanted": ""}
    if row.wanted:
        state = JobState.PAUSED if row.wanted == "pause" else JobState.CANCELLED
        values = {"state": state, "cut_offs": 0, **anew}
    elif cut_offs >= most:
        values = {
            "state": JobState.FAILED,
            "error": "the daemon ended again and again while it did this job, which got no "
            "further between",
            "hint": "`modelhub daemon logs` shows how it ended; `modelhub jobs retry` tries it "
            "once more",
            **anew,
        }
        _log.error("job is left as poison", extra={"job": row.id, "title": row.title})
    elif cut_offs >= SUSPECT:
        seconds = min(pause * 2.0 ** (cut_offs // _CRASH), _LONGEST_PAUSE)
        values |= {"state": JobState.WAITING, "not_before": now + seconds, **anew}
    if values.get("state") in (JobState.CANCELLED, JobState.FAILED):
        values["ended"] = now
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(changed=now, **values))
