"""Connections, transactions and their errors: what everything else in the catalog stands on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from modelhub.catalog import sqlitefile
from modelhub.catalog.faults import DRIVER_HINT, translated
from modelhub.catalog.fulltext.index import FullText, fulltext_of
from modelhub.catalog.revision import HEAD, REVISIONS
from modelhub.config.paths import catalog_url
from modelhub.errors import (
    CatalogCorrupt,
    CatalogError,
    CatalogReadOnly,
    CatalogTooNew,
    CatalogUnreachable,
    ConfigError,
)

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from modelhub.config import Config

_SLICE = 0.15
"""Seconds of waiting inside SQLite at a time, so that Ctrl-C is heard between."""
_LONGEST_SILENCE = 60.0
_WRITES = "modelhub_writes"


class Writer:
    """A write transaction: its connection, and which listings it made stale."""

    def __init__(self, connection: Connection, full_text: FullText) -> None:
        self.connection = connection
        self.backend = connection.dialect.name
        self._full_text = full_text
        self._files: set[int] = set()
        self._blobs: set[int] = set()
        self._copied: set[int] = set()

    def insert(self, table: Table) -> SqliteInsert | PostgresInsert:
        """An INSERT of this database's kind, which knows ON CONFLICT."""
        from modelhub.catalog.upserts import insert_into

        return insert_into(table, self.backend)

    def files_changed(self, ids: Iterable[int]) -> None:
        """Have the listings of these local files made anew."""
        self._files.update(ids)

    def blobs_changed(self, ids: Iterable[int]) -> None:
        """Have the listings of all files with these contents made anew."""
        self._blobs.update(ids)

    def copies_grew(self, ids: Iterable[int]) -> None:
        """Have it known that there are more files with these contents, and nothing else new."""
        self._copied.update(ids)

    def flush(self) -> None:
        """Make the stale listings anew now."""
        if not self._files and not self._blobs and not self._copied:
            return
        from modelhub.catalog.listing import refresh

        files, blobs, copied = self._files, self._blobs, self._copied
        self._files, self._blobs, self._copied = set(), set(), set()
        refresh(self, self._full_text, files, blobs, copied)


class Store:
    """An open database. `backend` is ``sqlite`` or ``postgresql``."""

    def __init__(
        self, engine: Engine, *, shown: str, path: Path | None, read_only: bool, patience: float
    ) -> None:
        self.engine = engine
        self.shown = shown
        self.path = path
        self.read_only = read_only
        self.patience = patience
        self.backend = engine.dialect.name
        self.full_text = fulltext_of(self.backend)
        self.on_close: Callable[[], None] | None = None
        """Called once all connections are closed."""
        self._local = threading.local()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        if self.on_close is not None:
            self.on_close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with; inside :meth:`write`, the one that writes."""
        writer = self._writer()
        if writer is not None:
            writer.flush()
            yield writer.connection
            return
        with translated(self.shown), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A write transaction, or the one that this thread is already in.

        :raises CatalogReadOnly: the catalog cannot be written to.
        :raises CatalogLocked: others wrote for longer than we wait.
        """
        outer = self._writer()
        if outer is not None:
            yield outer
            return
        if self.read_only:
            raise CatalogReadOnly(
                f"the catalog {self.shown} cannot be written to",
                hint="check the rights of the file and of its folder",
            )
        with translated(self.shown):
            connection = self.engine.connect().execution_options(**{_WRITES: self.patience})
            with connection, connection.begin():
                writer = self._local.writer = Writer(connection, self.full_text)
                try:
                    yield writer
                    writer.flush()
                finally:
                    self._local.writer = None

    def _writer(self) -> Writer | None:
        return getattr(self._local, "writer", None)


def open_store(config: Config, *, create: bool) -> Store:
    """See :func:`modelhub.catalog.catalog.open_catalog`."""
    url = _url(config)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(config, url, create=create)
    return _open_postgres(config, url, create=create)


def _url(config: Config) -> URL:
    try:
        url = make_url(catalog_url(config))
    except (ArgumentError, ValueError):  # a port that is no number
        raise ConfigError(
            "catalog.database_url is no database URL",
            hint="use sqlite:////path/to/catalog.db or postgresql+psycopg://user@host/name",
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"catalog.database_url: {backend} is not supported", hint="use sqlite or postgresql"
        )
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError(
            "catalog.database_url names no file", hint="use sqlite:////path/to/catalog.db"
        )
    return url


def _open_sqlite(config: Config, url: URL, *, create: bool) -> Store:
    try:
        path = Path(url.database or "").expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            f"catalog.database_url: {url.database} is in the folder of a user that is not there",
            hint="write the path out, from / on",
        ) from None
    shown = sqlitefile.shown_path(path)
    patience = config.catalog.busy_timeout
    if not path.exists():
        if not create:
            raise CatalogError(f"there is no catalog at {shown}", hint="`modelhub pull` makes one")
        from modelhub.catalog import upgrading

        upgrading.create_sqlite(path, patience)
    release = sqlitefile.hold(path)
    try:
        store = sqlite_store(path, patience, read_only=not sqlitefile.can_be_written(path))
    except BaseException:
        release()
        raise
    store.on_close = release
    try:
        _bring_up_to_date(store, config, create=False)
    except BaseException:
        store.close()
        raise
    return store


def sqlite_store(path: Path, patience: float, *, read_only: bool) -> Store:
    """Connections to a file that is there."""
    shown = sqlitefile.shown_path(path)
    connect = sqlitefile.connector(path, busy_timeout=patience, read_only=read_only)
    # The last one that was used comes first: each keeps pages and statements of its own.
    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, max_overflow=-1, pool_use_lifo=True
    )
    event.listen(engine, "begin", _begin_sqlite)
    return Store(engine, shown=shown, path=path, read_only=read_only, patience=patience)


def _begin_sqlite(connection: Connection) -> None:
    """Start the transaction ourselves: a writer takes the lock at once, so that it never has to
    give up in the middle because another one wrote meanwhile."""
    patience: float | None = connection.get_execution_options().get(_WRITES)
    if patience is None:
        connection.exec_driver_sql("BEGIN")
        return
    deadline = time.monotonic() + patience
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(_SLICE * 1000)}")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except DBAPIError as error:
                code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience * 1000)}")


def _open_postgres(config: Config, url: URL, *, create: bool) -> Store:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    shown = shown_database(url)
    patience = config.catalog.busy_timeout
    options = server_options("modelhub", patience, silence=_LONGEST_SILENCE)
    try:
        engine = create_engine(
            url, connect_args=options, pool_pre_ping=True, max_overflow=-1, hide_parameters=True
        )
    except (ImportError, NoSuchModuleError) as error:
        raise CatalogUnreachable(f"no driver for {shown}", hint=DRIVER_HINT) from error
    store = Store(engine, shown=shown, path=None, read_only=False, patience=patience)
    try:
        _bring_up_to_date(store, config, create=create)
    except BaseException:
        store.close()
        raise
    return store


def server_options(name: str, patience: float, *, silence: float) -> dict[str, Any]:
    """How to connect to PostgreSQL, so that neither side waits long for one that is gone.

    :param name: of this program, for who looks at the server.
    :param patience: seconds to wait for a lock.
    :param silence: seconds after which the server ends a transaction in which nothing more comes:
        its locks would hold up all others, were this machine frozen or cut off.
    """
    session = {
        "lock_timeout": int(patience * 1000),
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": int(silence * 1000),
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }
    return {
        "connect_timeout": max(2, min(int(patience), 15)),
        "options": " ".join(f"-c {key}={value}" for key, value in session.items()),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": name,
    }


def shown_database(url: URL) -> str:
    """`url` without its password and its query, which may hold one."""
    return url.set(password=None, query={}).render_as_string(hide_password=True)


def _bring_up_to_date(store: Store, config: Config, *, create: bool) -> None:
    """Compare the revision with ours, and upgrade what is older.

    :param create: whether a database without any table becomes a catalog.
    """
    revision = read_revision(store)
    if revision == HEAD:
        return
    check_revision(revision, store)
    if revision is None and not create:
        raise CatalogCorrupt(f"{store.shown} is no catalog: it has none of its tables")
    if store.read_only:
        raise CatalogReadOnly(
            f"the catalog {store.shown} needs an upgrade and cannot be written to",
            hint="check the rights of the file and of its folder",
        )
    from modelhub.catalog import upgrading

    upgrading.upgrade(store, keep_backups=config.catalog.backups)


def check_revision(revision: str | None, store: Store) -> None:
    """Refuse a revision that this program does not know.

    :raises CatalogTooNew: it is not one of ours.
    """
    if revision is not None and revision not in REVISIONS:
        raise CatalogTooNew(
            f"the catalog {store.shown} is of revision {revision}, "
            f"this modelhub knows revisions up to {HEAD}"
        )


def read_revision(store: Store) -> str | None:
    """The revision of the tables, None when there are none."""
    with translated(store.shown), store.engine.connect() as connection:
        try:
            rows = connection.execute(text("SELECT version_num FROM alembic_version")).all()
        except DBAPIError as error:
            if _is_no_such_table(error):
                return None
            raise
    return rows[0][0] if rows else None


def _is_no_such_table(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode == sqlite3.SQLITE_ERROR
    return getattr(error.orig, "sqlstate", None) == "42P01"
