"""From the tables of an earlier modelhub to those of this one."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select, text, update

from modelhub.services.jobs.model import JobKind
from modelhub.services.jobs.store.tables import VERSION, jobs, schema
from modelhub.services.jobs.store.wishes import wished_devices

_ADDED = (
    "ALTER TABLE jobs ADD COLUMN devices VARCHAR DEFAULT '' NOT NULL",
    "ALTER TABLE job_hosts ADD COLUMN devices VARCHAR DEFAULT '' NOT NULL",
    "ALTER TABLE job_hosts ADD COLUMN about TEXT DEFAULT '{}' NOT NULL",
)
"""What version 2 has that version 1 had not."""


def upgrade(connection: Connection) -> None:
    """Bring the tables from version 1 to this one, in the transaction that is open."""
    for statement in _ADDED:
        connection.execute(text(statement))
    renders = select(jobs.c.id, jobs.c.arguments).where(jobs.c.kind == JobKind.RENDER)
    for row in connection.execute(renders).all():
        devices = wished_devices(JobKind.RENDER, json.loads(row.arguments))
        if devices:
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(devices=devices))
    connection.execute(schema.update().values(version=VERSION))
