"""Jobs that come after others: when they may start, and when they never will."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import Connection, select, update

from modelhub.services.jobs.model import JobState
from modelhub.services.jobs.store.tables import AFTER_OTHERS, jobs

_AT_ONCE = 500


def end_dependents(connection: Connection) -> int:
    """End the waiting jobs of which one that they come after failed, was cancelled or is gone; how
    many. Those that come after these end as well."""
    ended = 0
    while True:
        found = 0
        for row, states in _blocked(connection):
            gone = next(
                (one for one in states if states[one] in (None, "failed", "cancelled")), None
            )
            if gone is not None:
                _end(connection, row, gone, states[gone])
                found += 1
        if not found:
            return ended
        ended += found


def released(connection: Connection) -> set[str]:
    """The waiting jobs that come after others which are all done."""
    return {
        row.id
        for row, states in _blocked(connection)
        if all(state == JobState.DONE for state in states.values())
    }


def _blocked(connection: Connection) -> list[tuple[Any, dict[str, str | None]]]:
    """Jobs that wait and come after others, with the states of those."""
    query = select(jobs.c.id, jobs.c.title, jobs.c.after).where(
        jobs.c.state.in_((JobState.WAITING, JobState.PAUSED)), AFTER_OTHERS
    )
    rows = connection.execute(query).all()
    before = {row.id: tuple(json.loads(row.after)) for row in rows}
    wanted = sorted({one for ids in before.values() for one in ids})
    states: dict[str, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        of_some = select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(some))
        states.update({row.id: row.state for row in connection.execute(of_some)})
    return [(row, {one: states.get(one) for one in before[row.id]}) for row in rows]


def _end(connection: Connection, row: Any, before: str, state: str | None) -> None:
    """End a job as the one that it came after did."""
    now = time.time()
    cancelled = state == JobState.CANCELLED
    connection.execute(
        update(jobs)
        .where(jobs.c.id == row.id)
        .values(
            state=JobState.CANCELLED if cancelled else JobState.FAILED,
            error=f"job {before}, which it comes after, {_WHAT[state]}",
            hint=f"`modelhub jobs retry {before}`, then `modelhub jobs retry {row.id}`",
            ended=now,
            changed=now,
            generation=jobs.c.generation + 1,
            handed=False,
        )
    )


_WHAT: dict[str | None, str] = {
    JobState.FAILED: "failed",
    JobState.CANCELLED: "was cancelled",
    None: "is not known any more",
}
