"""The table of jobs, in SQLite and PostgreSQL alike. Times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    text,
)

VERSION = 2
"""Of the table's columns; see :mod:`modelhub.services.jobs.store.opening`."""

metadata = MetaData()

schema = Table("job_schema", metadata, Column("version", Integer, nullable=False))

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("key", String, nullable=False),
    Column("arguments", Text, nullable=False),
    # The devices that a render wishes for, with commas between; empty: any.
    Column("devices", String, nullable=False, server_default=""),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("after", Text, nullable=False, server_default="[]"),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("progress", Text, nullable=False, server_default="{}"),
    Column("result", Text),
    Column("error", Text, nullable=False, server_default=""),
    Column("hint", Text, nullable=False, server_default=""),
    Column("log", Text, nullable=False, server_default="[]"),
    Column("host", String, nullable=False, server_default=""),
    # What a user wants of a job that runs: "pause" or "cancel"; else empty.
    Column("wanted", String, nullable=False, server_default=""),
    # Which of its runs counts: the engine's run of an earlier generation does nothing.
    Column("generation", Integer, nullable=False, server_default="0"),
    # Whether this generation was given to the engine.
    Column("handed", Boolean, nullable=False, server_default=text("false")),
    # Errors in a row that may pass, and when the next try may begin.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),
    # How often its process ended in the middle without getting further than ever before.
    Column("cut_offs", Integer, nullable=False, server_default="0"),
    Column("reached", Text, nullable=False, server_default=""),
    Column("changed", Float, nullable=False),
)

_OPEN = text("state IN ('waiting', 'running', 'paused')")

AFTER_OTHERS = jobs.c.after != literal_column("'[]'")
"""Jobs that come after others; written so that SQLite sees that their index has them."""

Index("jobs_open_key", jobs.c.key, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("jobs_turn", jobs.c.state, jobs.c.kind, jobs.c.handed, jobs.c.priority, jobs.c.created)
Index("jobs_order", jobs.c.state, jobs.c.priority, jobs.c.created)
Index("jobs_ended", jobs.c.state, jobs.c.ended)
Index("jobs_changed", jobs.c.changed)
Index("jobs_after", jobs.c.state, sqlite_where=AFTER_OTHERS, postgresql_where=AFTER_OTHERS)
Index("jobs_key", jobs.c.key, jobs.c.created)
