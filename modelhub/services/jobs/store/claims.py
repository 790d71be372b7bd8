"""How hosts that share a jobs database get their jobs: each claims what it has room for.

A claim is one statement, which passes over rows that another host is claiming at that moment; so
no two hosts get the same job, and none waits for another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import text

from modelhub.services.jobs.store.hosts import HostLease
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.working import SUSPECT, Turn

_DUE = """(not_before <= EXTRACT(EPOCH FROM clock_timestamp())
        OR not_before > EXTRACT(EPOCH FROM clock_timestamp()) + 7200)"""
_DONE_BEFORE = """("after" = '[]' OR NOT EXISTS (
        SELECT FROM json_array_elements_text(CAST(jobs."after" AS json)) AS needed (id)
        LEFT JOIN jobs AS other ON other.id = needed.id
        WHERE other.state IS DISTINCT FROM 'done'))"""


def _free(kind: str) -> str:
    """The condition that a job of a kind could begin now."""
    return f"""
        state = 'waiting' AND NOT handed AND jobs.kind = {kind} AND cut_offs < {SUSPECT}
        AND {_DUE}
        AND {_DONE_BEFORE}
    """


_OFFERED = text(
    f"""
    SELECT kind FROM unnest(CAST(:kinds AS text[])) AS wanted (kind)
    WHERE EXISTS (SELECT FROM jobs WHERE {_free("wanted.kind")})
    """  # noqa: S608 (our own text)
)
_CLAIM = text(
    f"""
    UPDATE jobs SET handed = true, host = :host, changed = EXTRACT(EPOCH FROM clock_timestamp())
    WHERE id IN (
        SELECT id FROM jobs WHERE {_free(":kind")}
        ORDER BY priority, created, id LIMIT :room FOR UPDATE SKIP LOCKED
    ) AND EXISTS (SELECT FROM job_hosts WHERE name = :host AND token = :token)
    RETURNING id, generation, kind, priority, arguments
    """  # noqa: S608 (our own text)
)
_CLAIM_SUSPECT = text(
    f"""
    UPDATE jobs SET handed = true, host = :host, changed = EXTRACT(EPOCH FROM clock_timestamp())
    WHERE id IN (
        SELECT id FROM jobs
        WHERE state = 'waiting' AND NOT handed AND cut_offs >= {SUSPECT}
            AND kind = ANY(CAST(:kinds AS text[])) AND {_DUE} AND {_DONE_BEFORE}
        ORDER BY cut_offs, priority, created LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AND EXISTS (SELECT FROM job_hosts WHERE name = :host AND token = :token)
    AND NOT EXISTS (
        SELECT FROM jobs AS mine WHERE mine.handed AND mine.state IN ('waiting', 'running')
            AND mine.host = :host AND mine.cut_offs >= {SUSPECT})
    RETURNING id, generation, kind, priority, arguments
    """  # noqa: S608 (our own text)
)
_MINE = text(
    "SELECT id, generation, kind FROM jobs"
    " WHERE handed AND state IN ('waiting', 'running') AND host = :host"
)
_GIVE_BACK = text(
    """
    UPDATE jobs SET state = 'waiting', generation = generation + 1, handed = false,
        changed = EXTRACT(EPOCH FROM clock_timestamp())
    WHERE id = :id AND generation = :generation AND handed AND state IN ('waiting', 'running')
    """
)


class Claims:
    """What a host has claimed, and claims. Any thread may use it."""

    def __init__(self, database: JobDatabase, lease: HostLease) -> None:
        self._database, self._lease = database, lease

    def offered(self, kinds: Collection[str]) -> list[str]:
        """The kinds among these of which a job could begin now."""
        with self._database.read() as connection:
            return list(connection.execute(_OFFERED, {"kinds": list(kinds)}).scalars())

    def claim(self, kind: str, room: int) -> list[Turn]:
        """Claim so many jobs of a kind at most, in their order; none where the lease is lost."""
        values = {"host": self._lease.name, "token": self._lease.token, "kind": kind, "room": room}
        with self._database.write() as connection:
            turns = [Turn(*row) for row in connection.execute(_CLAIM, values)]
        return sorted(turns, key=lambda turn: turn.priority)

    def claim_suspect(self, kinds: Collection[str]) -> list[Turn]:
        """Claim a job that may have ended its hosts, if this one has none such in its hands: one
        at a time, so that it is known which it was (:mod:`.suspects`)."""
        values = {"host": self._lease.name, "token": self._lease.token, "kinds": list(kinds)}
        with self._database.write() as connection:
            return [Turn(*row) for row in connection.execute(_CLAIM_SUSPECT, values)]

    def mine(self) -> list[tuple[str, int, str]]:
        """Ids, generations and kinds of the jobs that this host has and has not ended."""
        with self._database.read() as connection:
            rows = connection.execute(_MINE, {"host": self._lease.name})
            return [(row.id, row.generation, row.kind) for row in rows]

    def give_back(self, runs: Mapping[str, int]) -> None:
        """Let others have these runs, unless they have ended or are others' already."""
        with self._database.write() as connection:
            for job_id, generation in runs.items():
                connection.execute(_GIVE_BACK, {"id": job_id, "generation": generation})
