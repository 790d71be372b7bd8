"""What users do with jobs: ask for them, list them, stop them. None of it needs the daemon."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelhub.config.mounts import all_to_catalog
from modelhub.errors import NoSuchJob, WrongJobState
from modelhub.services.jobs.model import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.store.dependents import end_dependents
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.rows import COLUMNS, job_of, shown, to_text
from modelhub.services.jobs.store.tables import jobs
from modelhub.services.jobs.store.wishes import wished_devices

_ID_BYTES = 5
_SHORTEST_ID = 3
_TOLD_AGAIN = 5.0
_OPEN = (JobState.WAITING, JobState.RUNNING, JobState.PAUSED)
_ENDED = tuple(state for state in JobState if state.ended)
_AGAIN: dict[str, Any] = {
    "state": JobState.WAITING,
    "generation": jobs.c.generation + 1,
    "handed": False,
    "wanted": "",
    "not_before": 0.0,
    "failures": 0,
    "cut_offs": 0,
}
"""What a job becomes that is to be done from now on, whatever was before."""


class JobRequests:
    """The user's side of a jobs database. Any thread may use it."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def add(self, request: JobRequest) -> tuple[Job, bool]:
        """The job for `request`, and whether it is new: the same work may be there already.

        :raises NoSuchJob: it is to come after one that is not there.
        """
        arguments = all_to_catalog(dict(request.arguments))
        key = shown(request.key) or key_of(request.kind, arguments)
        try:
            return self._add(request, key, arguments)
        except IntegrityError:
            # On a server, another one may have asked for the same at this moment.
            return self._add(request, key, arguments)

    def add_all(self, requests: Sequence[JobRequest]) -> list[Job]:
        """The jobs for several requests, all or none, in one transaction.

        :raises NoSuchJob: one is to come after a job that is not there.
        """
        wanted = [(one, all_to_catalog(dict(one.arguments))) for one in requests]

        def add_them() -> list[Job]:
            with self._database.write() as connection:
                return [
                    self._added(
                        connection, one, shown(one.key) or key_of(one.kind, values), values
                    )[0]
                    for one, values in wanted
                ]

        try:
            return add_them()
        except IntegrityError:
            return add_them()

    def _add(self, request: JobRequest, key: str, arguments: Any) -> tuple[Job, bool]:
        with self._database.write() as connection:
            return self._added(connection, request, key, arguments)

    def _added(
        self, connection: Connection, request: JobRequest, key: str, arguments: Any
    ) -> tuple[Job, bool]:
        known = self._open_with_key(connection, key)
        if known is not None:
            return known, False
        after = [self._row(connection, one).id for one in request.after]
        now = time.time()
        values = {
            "kind": request.kind,
            "title": shown(request.title),
            "state": JobState.WAITING,
            "key": key,
            "arguments": to_text(arguments),
            "devices": wished_devices(request.kind, request.arguments),
            "priority": request.priority,
            "after": to_text(after),
            "created": now,
            "changed": now,
        }
        job_id = _insert(connection, values)
        return self._job(connection, job_id), True

    def get(self, job_id: str) -> Job:
        """One job, by its id or an unambiguous beginning of it.

        :raises NoSuchJob: there is none, or several begin so.
        """
        with self._database.read() as connection:
            return job_of(self._row(connection, job_id))

    def list(
        self, states: Collection[JobState] = (), kinds: Collection[JobKind] = (), limit: int = 1000
    ) -> Sequence[Job]:
        """See :meth:`JobQueue.list`."""
        wanted = set(states) or set(JobState)
        orders: list[tuple[set[JobState], tuple[ColumnElement[Any], ...]]] = [
            ({JobState.RUNNING}, (jobs.c.started, jobs.c.id)),
            ({JobState.WAITING}, (jobs.c.priority, jobs.c.created, jobs.c.id)),
            ({JobState.PAUSED}, (jobs.c.priority, jobs.c.created, jobs.c.id)),
            (set(_ENDED), (jobs.c.ended.desc(), jobs.c.id)),
        ]
        found: list[Job] = []
        with self._database.read() as connection:
            for group, order in orders:
                chosen = group & wanted
                if not chosen or len(found) >= limit:
                    continue
                query = select(*COLUMNS).where(jobs.c.state.in_(chosen))
                if kinds:
                    query = query.where(jobs.c.kind.in_(kinds))
                query = query.order_by(*order).limit(limit - len(found))
                found += [job_of(row) for row in connection.execute(query)]
        return found

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        query = select(jobs.c.state, func.count().label("number")).group_by(jobs.c.state)
        with self._database.read() as connection:
            found = {row.state: row.number for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def changed_since(self, when: float) -> tuple[Sequence[Job], float]:
        """Jobs that changed since, and the time to ask about next.

        Where the clock was put back meanwhile, some are told of again rather than none.
        """
        when = min(when, time.time() - _TOLD_AGAIN) if when > time.time() else when
        query = select(*COLUMNS, jobs.c.changed).where(jobs.c.changed > when)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(jobs.c.changed)).all()
        return [job_of(row) for row in rows], max((row.changed for row in rows), default=when)

    def counts_by_kind(self) -> Mapping[tuple[str, str], int]:
        """How many jobs of each kind are in each state."""
        columns = jobs.c.kind, jobs.c.state
        query = select(*columns, func.count().label("number")).group_by(*columns)
        with self._database.read() as connection:
            return {(row.kind, row.state): row.number for row in connection.execute(query)}

    def last_created(self, key: str) -> float:
        """When a job with that key was asked for last, in seconds since 1970; 0: never."""
        query = select(func.max(jobs.c.created)).where(jobs.c.key == key)
        with self._database.read() as connection:
            return connection.scalar(query) or 0.0

    def last_change(self) -> float:
        """When a job changed last, as :meth:`changed_since` takes it."""
        with self._database.read() as connection:
            return connection.scalar(select(func.max(jobs.c.changed))) or 0.0

    def cancel(self, job_id: str, *, attended: bool) -> Job:
        """Stop a job, or never start it.

        :param attended: whether the daemon runs, and will stop the job itself.
        :raises NoSuchJob: there is none.
        :raises WrongJobState: it has ended otherwise.
        """
        return self._stop(job_id, JobState.CANCELLED, "cancel", attended=attended)

    def pause(self, job_id: str, *, attended: bool) -> Job:
        """Stop a job for now; arguments and errors as of :meth:`cancel`."""
        return self._stop(job_id, JobState.PAUSED, "pause", attended=attended)

    def _stop(self, job_id: str, state: JobState, wanted: str, *, attended: bool) -> Job:
        with self._database.write() as connection:
            row = self._row(connection, job_id)
            now = JobState(row.state)
            if now is state:
                return job_of(row)
            if now.ended:
                raise WrongJobState(f"job {row.id} ({row.title}) is {now} already")
            if now is JobState.RUNNING and attended:
                _change(connection, row.id, wanted=wanted)
            else:
                values: dict[str, Any] = {**_AGAIN, "state": state}
                if state.ended:
                    values["ended"] = time.time()
                _change(connection, row.id, **values)
                if state.ended:
                    end_dependents(connection)
            return self._job(connection, row.id)

    def resume(self, job_id: str) -> Job:
        """Let a paused job go on, and take back a pause that was asked for.

        :raises NoSuchJob: there is none.
        :raises WrongJobState: it is not paused.
        """
        with self._database.write() as connection:
            row = self._row(connection, job_id)
            if row.state == JobState.RUNNING:
                _change(connection, row.id, wanted="")
            elif row.state == JobState.PAUSED:
                _change(connection, row.id, **_AGAIN)
            elif row.state != JobState.WAITING:
                raise WrongJobState(
                    f"job {row.id} ({row.title}) is {row.state}, not paused",
                    hint="`modelhub jobs retry` does a failed or cancelled one again",
                )
            return self._job(connection, row.id)

    def retry(self, job_id: str) -> Job:
        """Do a failed or cancelled job again; one that waits for its next try is tried now.

        :raises NoSuchJob: there is none.
        :raises WrongJobState: it is neither.
        """
        with self._database.write() as connection:
            row = self._row(connection, job_id)
            state = JobState(row.state)
            if state not in (JobState.FAILED, JobState.CANCELLED, JobState.WAITING):
                raise WrongJobState(f"job {row.id} ({row.title}) is {state}: nothing to do again")
            if state.ended:
                same = self._open_with_key(connection, row.key)
                if same is not None:
                    return same
            fresh = {"error": "", "hint": "", "ended": None, "progress": "{}"}
            _change(connection, row.id, **_AGAIN, **(fresh if state.ended else {}))
            return self._job(connection, row.id)

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Change the priority of a job that waits or is paused.

        :raises NoSuchJob: there is none.
        :raises WrongJobState: it runs, or has ended.
        """
        with self._database.write() as connection:
            row = self._row(connection, job_id)
            if row.state not in (JobState.WAITING, JobState.PAUSED):
                raise WrongJobState(
                    f"job {row.id} ({row.title}) is {row.state}: it has had its turn"
                )
            again = {"generation": jobs.c.generation + 1, "handed": False}
            _change(connection, row.id, priority=priority, **again)
            return self._job(connection, row.id)

    def clear(self, states: Collection[JobState] = (), *, older_than: float | None = None) -> int:
        """Forget ended jobs, of these states or all.

        :param older_than: only those that ended before that time, in seconds since 1970.
        :raises WrongJobState: one of the states is not that of an ended job.
        """
        wrong = [state for state in states if not state.ended]
        if wrong:
            raise WrongJobState(f"jobs that are {wrong[0]} are not cleared: cancel them first")
        chosen = delete(jobs).where(jobs.c.state.in_(states or _ENDED))
        if older_than is not None:
            chosen = chosen.where(jobs.c.ended < older_than)
        with self._database.write() as connection:
            return connection.execute(chosen).rowcount

    def _job(self, connection: Connection, job_id: str) -> Job:
        return job_of(connection.execute(select(*COLUMNS).where(jobs.c.id == job_id)).one())

    def _open_with_key(self, connection: Connection, key: str) -> Job | None:
        query = select(*COLUMNS).where(jobs.c.key == key, jobs.c.state.in_(_OPEN))
        row = connection.execute(query).first()
        return None if row is None else job_of(row)

    def _row(self, connection: Connection, job_id: str) -> Any:
        columns = (*COLUMNS, jobs.c.key, jobs.c.wanted)
        row = connection.execute(select(*columns).where(jobs.c.id == job_id)).first()
        if row is not None:
            return row
        rows: Sequence[Any] = ()
        if len(job_id) >= _SHORTEST_ID:
            beginning = jobs.c.id.startswith(job_id, autoescape=True)
            rows = connection.execute(select(*columns).where(beginning).limit(3)).all()
        if len(rows) == 1:
            return rows[0]
        if rows:
            names = ", ".join(one.id for one in rows)
            raise NoSuchJob(
                f"several jobs begin with {job_id}: {names} ...", hint="give more of it"
            )
        raise NoSuchJob(f"there is no job {job_id[:40]}")


def key_of(kind: str, arguments: Mapping[str, Any]) -> str:
    """What is equal for two jobs that are the same work."""
    import json

    text = json.dumps(dict(arguments), sort_keys=True, separators=(",", ":"))
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _insert(connection: Connection, values: dict[str, Any]) -> str:
    """Insert a row under a free id."""
    while True:
        job_id = secrets.token_hex(_ID_BYTES)
        try:
            with connection.begin_nested():
                connection.execute(insert(jobs).values(id=job_id, **values))
        except IntegrityError:
            taken = connection.scalar(select(jobs.c.id).where(jobs.c.id == job_id))
            if taken is None:
                raise
            continue
        return job_id


def _change(connection: Connection, job_id: str, **values: Any) -> None:
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(changed=time.time(), **values)
    )
