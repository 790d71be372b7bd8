"""How hosts that share a jobs database get their jobs: each claims what it has room for.

A claim is one statement, which passes over rows that another host is claiming at that moment; so
no two hosts get the same job, and none waits for another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import text

from modelhub.services.jobs.store.hosts import HostLease
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.wishes import computes_fast, wishes_met
from modelhub.services.jobs.store.working import SUSPECT, Turn

_DUE = """(not_before <= EXTRACT(EPOCH FROM clock_timestamp())
        OR not_before > EXTRACT(EPOCH FROM clock_timestamp()) + 7200)"""
_HERE = """(jobs.kind <> 'render' OR CAST(:anything AS boolean)
        OR jobs.devices <> '' AND string_to_array(jobs.devices, ',') <@ CAST(:devices AS text[])
        OR jobs.devices = '' AND (CAST(:fast AS boolean) OR NOT EXISTS (
            SELECT FROM job_hosts AS other WHERE other.name <> :host
            AND other.seen + other.lease >= EXTRACT(EPOCH FROM clock_timestamp())
            AND other.devices ~ '[?]|cuda|rocm|mps|xpu')))"""
"""Whether a render may be made by this host: on the devices that it wishes for; one that wishes for
none is left to a host with more than a processor, as long as there is one."""
_DONE_BEFORE = """("after" = '[]' OR NOT EXISTS (
        SELECT FROM json_array_elements_text(CAST(jobs."after" AS json)) AS needed (id)
        LEFT JOIN jobs AS other ON other.id = needed.id
        WHERE other.state IS DISTINCT FROM 'done'))"""


def _free(kind: str) -> str:
    """The condition that a job of a kind could begin now on this host."""
    return f"""
        state = 'waiting' AND NOT handed AND jobs.kind = {kind}
        AND {_DUE}
        AND {_HERE}
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
        SELECT id FROM jobs WHERE {_free(":kind")} AND cut_offs < {SUSPECT}
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
        WHERE {_free("ANY(CAST(:kinds AS text[]))")} AND cut_offs >= {SUSPECT}
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

    @property
    def devices_known(self) -> bool:
        """Whether this host knows what it can make test images on."""
        return self._lease.devices is not None

    def offered(self, kinds: Collection[str]) -> list[str]:
        """The kinds among these of which a job could begin now."""
        values = {**self._here(looking=True), "kinds": list(kinds)}
        with self._database.read() as connection:
            return list(connection.execute(_OFFERED, values).scalars())

    def claim(self, kind: str, room: int) -> list[Turn]:
        """Claim so many jobs of a kind at most, in their order; none where the lease is lost."""
        values = {**self._here(), "token": self._lease.token, "kind": kind, "room": room}
        with self._database.write() as connection:
            turns = [Turn(*row) for row in connection.execute(_CLAIM, values)]
        return sorted(turns, key=lambda turn: turn.priority)

    def claim_suspect(self, kinds: Collection[str]) -> list[Turn]:
        """Claim a job that may have ended its hosts, if this one has none such in its hands: one
        at a time, so that it is known which it was (:mod:`.suspects`)."""
        values = {**self._here(), "token": self._lease.token, "kinds": list(kinds)}
        with self._database.write() as connection:
            return [Turn(*row) for row in connection.execute(_CLAIM_SUSPECT, values)]

    def _here(self, *, looking: bool = False) -> dict[str, Any]:
        """What the statements ask about this host.

        :param looking: a host that does not know its devices yet is offered any render: that is
            when it looks for them.
        """
        devices = self._lease.devices
        return {
            "host": self._lease.name,
            "anything": looking and devices is None,
            "devices": wishes_met(devices or ()),
            "fast": computes_fast(devices or ()),
        }

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
