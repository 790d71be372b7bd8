"""Opening the database of the jobs, and making it where there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from modelhub.catalog.faults import DRIVER_HINT, translated
from modelhub.catalog.sqlitefile import shown_path
from modelhub.catalog.store import Store, server_options, shown_database, sqlite_store
from modelhub.config.mounts import use_mounts
from modelhub.errors import CatalogTooNew, CatalogUnreachable, DiskError
from modelhub.services.jobs.place import JobsPlace, jobs_place
from modelhub.services.jobs.store.tables import VERSION, metadata, schema
from modelhub.services.jobs.store.upgrading import upgrade

if TYPE_CHECKING:
    from modelhub.config import Config


_BRIEFEST = 5.0
"""Seconds for which also a machine that is very busy, and not gone, may be silent in the middle of
something."""
_CACHE = -1_024
"""KiB of pages that a connection keeps."""
_MAKING = 0x6D68_6A62
"""PostgreSQL's number of the lock under which the tables are made."""


class JobDatabase:
    """The open database: transactions on it, whichever kind it is. Any thread may use it."""

    def __init__(self, store: Store, place: JobsPlace) -> None:
        self._store = store
        self.place = place

    @property
    def shown(self) -> str:
        """Which database it is, fit to be shown."""
        return self._store.shown

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with.

        :raises CatalogError: the database cannot be read.
        """
        with self._store.read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction of writes: all or none.

        :raises CatalogError: the database cannot be written to.
        """
        with self._store.write() as writer:
            yield writer.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back all connections."""
        self._store.close()


def open_jobs(config: Config) -> JobDatabase:
    """The database of the jobs of the library that the settings name, made where there is none.

    :raises CatalogError: it cannot be opened; its file, or the server, is named.
    :raises CatalogTooNew: a later modelhub changed its table.
    """
    use_mounts(config.team.mounts)
    place = jobs_place(config)
    patience = config.catalog.busy_timeout
    if place.path is not None:
        _make_file(place.path)
        store = sqlite_store(place.path, patience, read_only=False)
        event.listen(store.engine, "connect", _keep_little)
    else:
        store = _server(place.url, patience, max(config.team.lease / 2, _BRIEFEST))
    database = JobDatabase(store, place)
    try:
        _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def _keep_little(connection: Any, _record: object) -> None:
    """A catalog's share of memory is too much for each of the connections of a daemon that is to
    take little: jobs are few, and looked at one by one."""
    connection.execute(f"PRAGMA cache_size = {_CACHE}")
    connection.execute("PRAGMA mmap_size = 0")


def _make_file(path: Path) -> None:
    """An empty database with a write-ahead log; another process may be doing the same."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    with translated(shown_path(path)):
        connection = sqlite3.connect(path, timeout=30)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def _server(url: str, patience: float, silence: float) -> Store:
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    shown = shown_database(parsed)
    options = server_options("modelhub jobs", patience, silence=silence)
    try:
        engine = create_engine(
            parsed, connect_args=options, pool_pre_ping=True, max_overflow=-1, hide_parameters=True
        )
    except (ImportError, NoSuchModuleError) as error:
        raise CatalogUnreachable(f"no driver for {shown}", hint=DRIVER_HINT) from error
    return Store(engine, shown=shown, path=None, read_only=False, patience=patience)


def _is_server(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _bring_up_to_date(database: JobDatabase) -> None:
    with database.read() as connection:
        known = _version(connection)
    if known is None or known < VERSION:
        with database.write() as connection:
            if _is_server(connection):
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING})
            known = _version(connection)
            if known is None:
                metadata.create_all(connection)
                connection.execute(schema.insert().values(version=VERSION))
                known = VERSION
            elif known < VERSION:
                upgrade(connection)
                known = VERSION
    if known > VERSION:
        raise CatalogTooNew(
            f"the jobs in {database.shown} are of version {known}, this modelhub knows {VERSION}",
            hint="upgrade modelhub; the jobs were left as they are",
        )


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema.name):
        return None
    found: int | None = connection.scalar(select(schema.c.version))
    return found
