"""What the daemon does with jobs: hand them to its engine, begin them, keep how they go."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from modelhub.config.mounts import all_to_catalog
from modelhub.services.jobs.model import Job, JobProgress, JobState
from modelhub.services.jobs.store.dependents import end_dependents, released
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.rows import (
    COLUMNS,
    job_of,
    progress_text,
    shown,
    to_text,
)
from modelhub.services.jobs.store.tables import AFTER_OTHERS, jobs

_ENDED = tuple(state for state in JobState if state.ended)
SUSPECT = 2
"""So many cut-offs without getting any further make a job a suspect; see :mod:`.suspects`."""
_LATEST_CLOCK = 7200.0
"""Seconds: a next try that is further off than any is was set before the clock was put back."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A run of a job that can be given to the engine.

    :param generation: which run of it; one of an earlier generation does nothing.
    """

    id: str
    generation: int
    kind: str
    priority: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that was begun.

    :param failures: errors in a row that may pass.
    """

    job: Job
    generation: int
    failures: int


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a run was, and its log: kept together with its end, at the cost of one write."""

    progress: JobProgress
    log: Sequence[str]

    @property
    def values(self) -> dict[str, str]:
        """As they are in the table."""
        return {"progress": progress_text(self.progress), "log": to_text(list(self.log))}


class JobWork:
    """The daemon's side of a jobs database. Any thread may use it.

    :param host: the name of this machine, which its jobs carry.
    """

    def __init__(self, database: JobDatabase, host: str) -> None:
        self._database = database
        self._host = host

    def settle(self) -> int:
        """End the jobs that come after one that failed; how many."""
        with self._database.read() as connection:
            waits = connection.scalar(
                select(jobs.c.id)
                .where(jobs.c.state.in_((JobState.WAITING, JobState.PAUSED)), AFTER_OTHERS)
                .limit(1)
            )
        if waits is None:
            return 0
        with self._database.write() as connection:
            return end_dependents(connection)

    def turns(self, kind: str, room: int) -> list[Turn]:
        """The jobs of a kind that are to be given to the engine now, in their order.

        The engine is given few jobs at a time, the most urgent ones, so that a change of mind
        (another priority, a pause) finds most of them still here.

        :param room: how many of at least the same urgency may wait in the engine.
        """
        with self._database.read() as connection:
            handed = connection.execute(
                select(jobs.c.priority).where(
                    jobs.c.state == JobState.WAITING, jobs.c.kind == kind, jobs.c.handed
                )
            ).scalars()
            waiting = sorted(handed)
            query = (
                select(jobs.c.id, jobs.c.generation, jobs.c.kind, jobs.c.priority, jobs.c.arguments)
                .where(jobs.c.state == JobState.WAITING, jobs.c.kind == kind, ~jobs.c.handed)
                .where(is_due())
                .where(_is_free(released(connection)), jobs.c.cut_offs < SUSPECT)
                .order_by(jobs.c.priority, jobs.c.created, jobs.c.id)
                .limit(room)
            )
            found = [Turn(*row) for row in connection.execute(query)]
        chosen: list[Turn] = []
        for turn in found:
            ahead = sum(1 for one in waiting if one <= turn.priority) + len(chosen)
            if ahead < room:
                chosen.append(turn)
        return chosen

    def kinds_waiting(self) -> list[str]:
        """The kinds of which jobs wait that were not given to the engine yet."""
        query = select(jobs.c.kind).where(jobs.c.state == JobState.WAITING, ~jobs.c.handed)
        with self._database.read() as connection:
            return list(connection.execute(query.distinct()).scalars())

    def handed(self, turns: Collection[Turn]) -> None:
        """Remember that these were given to the engine."""
        with self._database.write() as connection:
            for turn in turns:
                connection.execute(
                    update(jobs)
                    .where(jobs.c.id == turn.id, jobs.c.generation == turn.generation)
                    .values(handed=True)
                )

    def next_try(self) -> float | None:
        """When the next job is to be tried again, in seconds since 1970."""
        query = select(func.min(jobs.c.not_before)).where(
            jobs.c.state == JobState.WAITING, ~jobs.c.handed, jobs.c.not_before > time.time()
        )
        with self._database.read() as connection:
            found: float | None = connection.scalar(query)
        return found

    def open_handed(self) -> dict[str, int]:
        """The jobs that the engine should know of, with their generations."""
        query = select(jobs.c.id, jobs.c.generation).where(
            jobs.c.state.in_((JobState.WAITING, JobState.RUNNING)), jobs.c.handed
        )
        with self._database.read() as connection:
            return {row.id: row.generation for row in connection.execute(query)}

    def hand_again(self, lost: Mapping[str, int]) -> None:
        """Give jobs to the engine anew, that it lost, by the runs of them that it lost."""
        for job_id, generation in lost.items():
            with self._database.write() as connection:
                connection.execute(
                    _update(job_id, generation)
                    .where(jobs.c.state.in_((JobState.WAITING, JobState.RUNNING)))
                    .values(state=JobState.WAITING, changed=time.time(), **_anew())
                )

    def kind_of(self, job_id: str) -> str:
        """The kind of a job; empty: there is none."""
        with self._database.read() as connection:
            return connection.scalar(select(jobs.c.kind).where(jobs.c.id == job_id)) or ""

    def begin(self, job_id: str, generation: int) -> Begun | None:
        """Begin a run of a job; None where it is not this run's turn any more.

        One that runs already by the table is one that was cut off: by a kill, a crash, a power
        cut. It goes on from what it left.
        """
        now = time.time()
        begin = (
            _update(job_id, generation)
            .where(jobs.c.state.in_((JobState.WAITING, JobState.RUNNING)))
            .values(
                state=JobState.RUNNING,
                started=now,
                ended=None,
                attempts=jobs.c.attempts + 1,
                host=self._host,
                wanted="",
                progress="{}",
                error="",
                hint="",
                changed=now,
            )
            .returning(*COLUMNS, jobs.c.failures)
        )
        with self._database.write() as connection:
            row = connection.execute(begin).first()
        return None if row is None else Begun(job_of(row), generation, row.failures)

    def keep_progress(
        self, job_id: str, generation: int, progress: JobProgress, log: Sequence[str]
    ) -> None:
        """Keep how far a running job is."""
        self._change(job_id, generation, **Seen(progress, log).values)

    def wanted(self, runs: Mapping[str, int]) -> dict[str, str]:
        """What users want of running jobs: ``pause``, ``cancel``; ``gone`` of one that is no more
        or was taken out of our hands.

        :param runs: the generation of each job's run.
        """
        if not runs:
            return {}
        query = select(jobs.c.id, jobs.c.state, jobs.c.wanted, jobs.c.generation)
        query = query.where(jobs.c.id.in_(runs))
        with self._database.read() as connection:
            rows = {row.id: row for row in connection.execute(query)}
        found = {}
        for job_id, generation in runs.items():
            row = rows.get(job_id)
            if row is None or row.state != JobState.RUNNING or row.generation != generation:
                found[job_id] = "gone"
            elif row.wanted:
                found[job_id] = row.wanted
        return found

    def done(
        self, job_id: str, generation: int, result: Mapping[str, Any], seen: Seen | None = None
    ) -> bool:
        """It is done; whether it was still this run's to say so."""
        values = {"result": to_text(all_to_catalog(dict(result)))}
        return self._end(job_id, generation, JobState.DONE, seen, **values)

    def failed(
        self, job_id: str, generation: int, error: str, hint: str, seen: Seen | None = None
    ) -> bool:
        """It failed for good, and with it what comes after it."""
        why = {"error": shown(error), "hint": shown(hint)}
        return self._end(job_id, generation, JobState.FAILED, seen, **why)

    def cancelled(self, job_id: str, generation: int, seen: Seen | None = None) -> bool:
        """It was stopped for good, and with it what comes after it."""
        return self._end(job_id, generation, JobState.CANCELLED, seen)

    def paused(self, job_id: str, generation: int, seen: Seen | None = None) -> bool:
        """It was stopped for now."""
        values = {**_values(seen), **_anew()}
        return self._change(job_id, generation, state=JobState.PAUSED, **values)

    def parked(self, job_id: str, generation: int, seen: Seen | None = None) -> bool:
        """It was stopped since the daemon ends: the next one goes on with it."""
        values = {**_values(seen), **_anew()}
        return self._change(job_id, generation, state=JobState.WAITING, **values)

    def try_later(
        self,
        job_id: str,
        generation: int,
        error: str,
        hint: str,
        *,
        seconds: float,
        failures: int,
        seen: Seen | None = None,
    ) -> bool:
        """It failed for a reason that may pass, and is tried again in so many seconds."""
        again = {**_anew(), "not_before": time.time() + seconds, "failures": failures}
        return self._change(
            job_id,
            generation,
            state=JobState.WAITING,
            error=shown(error),
            hint=shown(hint),
            **_values(seen),
            **again,
        )

    def trim(self, *, ended_before: float, keep: int) -> int:
        """Forget ended jobs that are older, or more than are kept; how many.

        Jobs that others still wait for are kept: these need to know how they ended.
        """
        with self._database.write() as connection:
            needed = jobs.alias()
            waits = (
                select(needed.c.id)
                .where(needed.c.state.in_((JobState.WAITING, JobState.PAUSED)))
                .where(needed.c.after != "[]", needed.c.after.contains(jobs.c.id))
                .exists()
            )
            ended = jobs.c.state.in_(_ENDED)
            oldest_kept = connection.scalar(
                select(jobs.c.ended)
                .where(ended)
                .order_by(jobs.c.ended.desc())
                .offset(keep)
                .limit(1)
            )
            before = ended_before if oldest_kept is None else max(ended_before, oldest_kept)
            gone = delete(jobs).where(ended, jobs.c.ended <= before, ~waits)
            return connection.execute(gone).rowcount

    def _end(
        self, job_id: str, generation: int, state: JobState, seen: Seen | None, **values: Any
    ) -> bool:
        with self._database.write() as connection:
            now = time.time()
            ended = {"state": state, "ended": now, "changed": now, "wanted": ""}
            change = _update(job_id, generation).values(**ended, **_values(seen), **values)
            if not connection.execute(change).rowcount:
                return False
            if state is not JobState.DONE:
                end_dependents(connection)
        return True

    def _change(self, job_id: str, run: int, /, **values: Any) -> bool:
        with self._database.write() as connection:
            change = _update(job_id, run).values(changed=time.time(), **values)
            return connection.execute(change).rowcount > 0


def _update(job_id: str, generation: int) -> Any:
    """A change of a job, as long as the run of that generation has the say."""
    return update(jobs).where(jobs.c.id == job_id, jobs.c.generation == generation)


def _values(seen: Seen | None) -> dict[str, str]:
    return {} if seen is None else seen.values


def _anew() -> dict[str, Any]:
    """What lets the next run of a job begin, and this one say no more."""
    return {
        "generation": jobs.c.generation + 1,
        "handed": False,
        "wanted": "",
        "not_before": 0.0,
        "cut_offs": 0,
    }


def is_due() -> ColumnElement[bool]:
    """Whether a job's next try may begin."""
    now = time.time()
    return or_(jobs.c.not_before <= now, jobs.c.not_before > now + _LATEST_CLOCK)


def _is_free(released_ids: Collection[str]) -> ColumnElement[bool]:
    return or_(jobs.c.after == "[]", jobs.c.id.in_(released_ids))
