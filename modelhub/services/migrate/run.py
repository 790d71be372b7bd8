"""The move as a whole: what is read, what is written, and in which order.

All of it is one transaction of the target, which is committed after the last row was compared. So
there is never half a library: whatever ends it before, the target holds nothing of it, and the
same command begins anew. The source is locked against writers meanwhile, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from msgspec.structs import replace
from sqlalchemy import Connection, Table, select, text

from modelhub.catalog.batching import batches
from modelhub.catalog.listingtables import listings, search_text, search_vectors
from modelhub.catalog.revision import HEAD
from modelhub.catalog.store import Store, Writer, open_store, read_revision, sqlite_store
from modelhub.catalog.tables import local_files
from modelhub.catalog.tables import metadata as catalog_tables
from modelhub.errors import Cancelled, MigrationRefused
from modelhub.progress import Listener, Outcome, Stage, StageEntered, TaskFinished, TaskStarted
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.place import jobs_place
from modelhub.services.jobs.store import open_jobs
from modelhub.services.jobs.store.tables import jobs, schema
from modelhub.services.jobs.store.tables import metadata as job_tables
from modelhub.services.migrate.copying import CopiedTable, compare_table, copy_table
from modelhub.services.migrate.places import (
    holds_password,
    refuse_another_revision,
    source_path,
    target_url,
)

if TYPE_CHECKING:
    from modelhub.config import Config

_DERIVED = (listings, search_text, search_vectors)
"""Made anew from the others, as each database keeps them in its own way."""
_LOCK = 0x6D68_6D76
"""PostgreSQL's number of the lock that one move at a time holds."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A library that was moved.

    :param database: where it is now, fit to be shown: without a password.
    :param without_password: the URL that was given held one, and `database` leaves it out.
    :param listed: files of which the listing was made anew.
    :param jobs_moved: False: there were none, or `jobs.database_url` keeps them elsewhere.
    """

    source: Path
    database: str
    without_password: bool
    tables: Sequence[CopiedTable]
    listed: int
    jobs_moved: bool

    @property
    def rows(self) -> int:
        """Of all tables together."""
        return sum(table.rows for table in self.tables)


def migrate_to(url: str, *, config: Config, listener: Listener, cancel: Event) -> Migration:
    """Copy the library that the settings name into the empty PostgreSQL database at `url`.

    :raises MigrationRefused: the library is not in SQLite, its daemon runs, or the target holds a
        library already.
    :raises MigrationFailed: what arrived is not what was there; nothing was kept.
    :raises CatalogError: a database cannot be used.
    :raises Cancelled: `cancel` was set; nothing was kept.
    """
    path = source_path(config)
    wanted = replace(config, catalog=replace(config.catalog, database_url=target_url(url)))
    _refuse_while_a_daemon_runs(config)
    refuse_another_revision(wanted)
    with ExitStack() as stack:
        catalog = stack.enter_context(_closing(_opened(path, config)))
        target = stack.enter_context(_closing(open_store(wanted, create=True)))
        source = stack.enter_context(_still(catalog))
        writer = stack.enter_context(target.write())
        _refuse_a_library(writer.connection, target.shown)
        copied = _copied(
            source,
            writer.connection,
            [one for one in catalog_tables.sorted_tables if one not in _DERIVED],
            listener,
            cancel,
        )
        _count_on(source, writer.connection)
        listed = _list_anew(writer, listener, cancel)
        jobs_file = jobs_place(config).path
        moves = jobs_file is not None and jobs_file.exists() and jobs_place(wanted).path is None
        if moves:
            copied += _move_jobs(writer.connection, config, listener, cancel)
    return Migration(path, target.shown, holds_password(url), copied, listed, moves)


def _opened(path: Path, config: Config) -> Store:
    """The source; one of another revision is left alone."""
    store = sqlite_store(path, config.catalog.busy_timeout, read_only=False)
    if read_revision(store) != HEAD:
        store.close()
        raise MigrationRefused(
            f"the catalog {path} is not of this modelhub's revision",
            hint="`modelhub list` upgrades an older one, after a copy of it",
        )
    return store


@contextmanager
def _closing(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _still(store: Store) -> Iterator[Connection]:
    """A connection to read with, while nobody writes. Nothing is changed."""
    with store.write() as writer:
        yield writer.connection


def _refuse_while_a_daemon_runs(config: Config) -> None:
    if Contact(jobs_place(config)).attended():
        raise MigrationRefused(
            "the daemon of this library runs",
            hint="`modelhub daemon stop`; start it again with the new settings",
        )


def _refuse_a_library(connection: Connection, shown: str) -> None:
    """Lock the target's tables, and see that there is nothing in them."""
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
        raise MigrationRefused(f"another process is moving a library to {shown}")
    job_tables.create_all(connection)
    for table in (*catalog_tables.sorted_tables, jobs):
        if table.info.get("backend", "postgresql") != "postgresql":
            continue
        connection.exec_driver_sql(f'LOCK TABLE "{table.name}" IN EXCLUSIVE MODE')
        if connection.execute(select(1).select_from(table).limit(1)).first() is not None:
            raise MigrationRefused(
                f"{shown} holds a library already: its table {table.name} is not empty",
                hint="name an empty database; `createdb` makes one",
            )


def _copied(
    source: Connection,
    target: Connection,
    tables: Sequence[Table],
    listener: Listener,
    cancel: Event,
) -> list[CopiedTable]:
    done = []
    for table in tables:
        listener(TaskStarted(table.name, table.name))
        listener(StageEntered(table.name, Stage.RECORD))
        copy_table(source, target, table, cancel)
        listener(StageEntered(table.name, Stage.COMPARE))
        compared = compare_table(source, target, table, cancel)
        listener(TaskFinished(table.name, Outcome.DONE, f"{compared.rows:,} rows"))
        done.append(compared)
    return done


def _count_on(source: Connection, target: Connection) -> None:
    """Have the target number its next rows after the last ones, those that are gone included."""
    used = {
        row.name: row.seq for row in source.execute(text("SELECT name, seq FROM sqlite_sequence"))
    }
    for table in catalog_tables.sorted_tables:
        if table in _DERIVED or "id" not in table.c:
            continue
        sequence = target.scalar(
            text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table.name}
        )
        last = target.scalar(text(f'SELECT max(id) FROM "{table.name}"'))  # noqa: S608 (our names)
        last = max(last or 0, used.get(table.name, 0))
        if sequence and last:
            target.execute(text("SELECT setval(:name, :last)"), {"name": sequence, "last": last})


def _list_anew(writer: Writer, listener: Listener, cancel: Event) -> int:
    """Make what listings and searches read; how many files."""
    listener(TaskStarted("listings", "listings and search"))
    listener(StageEntered("listings", Stage.RECORD))
    ids = writer.connection.scalars(select(local_files.c.id).order_by(local_files.c.id)).all()
    for batch in batches(ids):
        if cancel.is_set():
            raise Cancelled(
                "stopped before the library was copied",
                hint="the database is as it was before; the same command begins anew",
            )
        writer.files_changed(batch)
        writer.flush()
    listener(TaskFinished("listings", Outcome.DONE, f"{len(ids):,} files"))
    return len(ids)


def _move_jobs(
    target: Connection, config: Config, listener: Listener, cancel: Event
) -> list[CopiedTable]:
    """Copy the jobs as they are: what the engine knew of them, it is told anew by the daemon."""
    with open_jobs(config) as database, database.write() as source:
        return _copied(source, target, [schema, jobs], listener, cancel)
