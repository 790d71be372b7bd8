"""The hosts that share a jobs database on a server, and what becomes of the jobs of one that dies.

A host holds a lease, which it renews as long as it lives. All times are the server's, so that no
host's clock matters. Where a lease has run out, whoever notices first takes the host out of the
table and its jobs out of its hands, in one transaction: their generation goes up, so that nothing
the lost host still says of them counts, should it only have been cut off.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Float,
    Index,
    String,
    Table,
    Text,
    select,
    text,
)

from modelhub.errors import HostNameTaken
from modelhub.services.jobs.store.attendance import about, shown_devices
from modelhub.services.jobs.store.opening import JobDatabase
from modelhub.services.jobs.store.suspects import account_for
from modelhub.services.jobs.store.tables import jobs, metadata
from modelhub.services.jobs.store.working import SUSPECT

if TYPE_CHECKING:
    from modelhub.config import Config

hosts = Table(
    "job_hosts",
    metadata,
    Column("name", String, primary_key=True),
    Column("identity", String, nullable=False),
    Column("token", String, nullable=False),
    Column("seen", Float, nullable=False),
    Column("lease", Float, nullable=False),
    # What it makes test images on, with commas between; `?` until it has looked; empty: it makes
    # none.
    Column("devices", String, nullable=False, server_default=""),
    # For people, as JSON.
    Column("about", Text, nullable=False, server_default="{}"),
)
_IN_HAND = text("handed AND state IN ('waiting', 'running')")
_SUSPECT = text(f"cut_offs >= {SUSPECT} AND state = 'waiting'")
Index("jobs_in_hand", jobs.c.host, postgresql_where=_IN_HAND, sqlite_where=_IN_HAND)
Index("jobs_suspect", jobs.c.cut_offs, postgresql_where=_SUSPECT, sqlite_where=_SUSPECT)

_NOW = "EXTRACT(EPOCH FROM clock_timestamp())"
_JOIN = text(
    f"""
    INSERT INTO job_hosts AS known (name, identity, token, seen, lease, devices, about)
    VALUES (:name, :identity, :token, {_NOW}, :lease, :devices, :about)
    ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, token = excluded.token,
        seen = excluded.seen, lease = excluded.lease, devices = excluded.devices,
        about = excluded.about
    WHERE known.identity = excluded.identity OR known.seen + known.lease < {_NOW}
    """  # noqa: S608 (no value of anybody's)
)
_BEAT = text(f"UPDATE job_hosts SET seen = {_NOW} WHERE name = :name AND token = :token")  # noqa: S608
_SAY = text("UPDATE job_hosts SET devices = :devices WHERE name = :name AND token = :token")
_LEAVE = text("DELETE FROM job_hosts WHERE name = :name AND token = :token")
_GONE = text(
    f"""
    DELETE FROM job_hosts WHERE name IN (
        SELECT name FROM job_hosts WHERE seen + lease < {_NOW} FOR UPDATE SKIP LOCKED
    ) RETURNING name
    """  # noqa: S608
)
_OF_NOBODY = text(
    """
    SELECT id, title, generation, state, host, progress, reached, cut_offs, wanted FROM jobs
    WHERE handed AND state IN ('waiting', 'running')
        AND NOT EXISTS (SELECT FROM job_hosts WHERE name = jobs.host)
    ORDER BY id FOR UPDATE SKIP LOCKED
    """
)
_FREE = text(
    f"""
    UPDATE jobs SET state = 'waiting', generation = generation + 1, handed = false, wanted = '',
        changed = {_NOW}
    WHERE id = ANY(CAST(:ids AS text[])) AND handed AND state IN ('waiting', 'running')
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A job that was taken out of the hands of a host."""

    id: str
    host: str


class HostLease:
    """A host's place among those that share a jobs database on a server. Any thread may use it.

    :param name: of the host, as its jobs carry it.
    :param identity: tells it from another one of the same name: kept in its data folder.
    :param config: how long it is, and what becomes of jobs whose hosts keep ending.
    """

    def __init__(self, database: JobDatabase, name: str, identity: str, config: Config) -> None:
        self._database, self.name = database, name
        self._identity, self._wanted = identity, config.jobs
        self._about = about(config)
        self.seconds = config.team.lease
        self.token = ""
        self.devices: Sequence[str] | None = None

    def join(self) -> None:
        """Take the place; a daemon of this host that was killed has left it to this one.

        :raises HostNameTaken: another host of that name is there.
        """
        token = secrets.token_hex(8)
        values = {
            "name": self.name,
            "identity": self._identity,
            "token": token,
            "lease": self.seconds,
            "devices": shown_devices(self.devices),
            "about": self._about,
        }
        with self._database.write() as connection:
            if not connection.execute(_JOIN, values).rowcount:
                raise HostNameTaken(f"another host called {self.name} does jobs of this library")
        self.token = token

    def beat(self) -> bool:
        """Say that this host lives; False: it was taken for dead, and its jobs were taken over."""
        return self._run(_BEAT)

    def renders_on(self, devices: Sequence[str] | None) -> None:
        """Say what test images are made on here; empty: none are. None: it is not known yet."""
        self.devices = devices
        if self.token:
            self._run(_SAY, devices=shown_devices(devices))

    def leave(self) -> None:
        """Give up the place, and what is still in this host's hands, for others to go on with."""
        if self._run(_LEAVE):
            self.take_over()

    def take_over(self) -> list[TakenOver]:
        """Free the jobs of hosts that are gone, for whoever claims them; which."""
        with self._database.write() as connection:
            connection.execute(_GONE)
            rows = connection.execute(_OF_NOBODY).all()
            for name in sorted({row.host for row in rows}):
                of_host = [row for row in rows if row.host == name and row.state == "running"]
                account_for(
                    connection,
                    of_host,
                    self._wanted.attempts,
                    crashed=False,
                    pause=self._wanted.backoff,
                )
            if rows:
                connection.execute(_FREE, {"ids": [row.id for row in rows]})
        return [TakenOver(row.id, row.host) for row in rows]

    def living(self) -> list[str]:
        """The names of the hosts that are there."""
        with self._database.read() as connection:
            return list(connection.execute(select(hosts.c.name).order_by(hosts.c.name)).scalars())

    def _run(self, statement: Any, **more: str) -> bool:
        values = {"name": self.name, "token": self.token, **more}
        with self._database.write() as connection:
            return connection.execute(statement, values).rowcount > 0
