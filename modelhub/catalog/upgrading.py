"""Creating and upgrading the tables with Alembic, one process at a time.

Only imported when there is something to do: see :mod:`modelhub.catalog.revision`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text

from modelhub.catalog import sqlitefile
from modelhub.catalog.faults import translated
from modelhub.catalog.revision import APPLICATION_ID, HEAD
from modelhub.catalog.store import Store, check_revision, read_revision, sqlite_store
from modelhub.errors import CatalogError, CatalogLocked, CatalogReadOnly, DiskFull

_ADVISORY_LOCK = APPLICATION_ID
_POLL = 0.1


def migrations_folder() -> Path:
    """The scripts: in the wheel beside this module, in a checkout at its top.

    :raises CatalogError: the installation lacks them.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "migrations", here.parents[2] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise CatalogError("the migrations are missing from this installation", hint="reinstall it")


def alembic_config(connection: Connection | None = None) -> AlembicConfig:
    """Alembic's settings, to work on `connection`."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def create_sqlite(path: Path, patience: float) -> None:
    """Make a catalog at `path`, if another process does not first. It appears whole or not at all.

    :raises CatalogReadOnly: the folder cannot be written to.
    :raises CatalogLocked: another process is at it for longer than `patience` seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _file_lock(path, patience):
            if path.exists():
                return
            for left_over in path.parent.glob(f".{path.name}.new-*"):
                left_over.unlink(missing_ok=True)
            unfinished = path.with_name(f".{path.name}.new-{os.getpid()}")
            _build(unfinished, patience)
            unfinished.rename(path)
    except OSError as error:
        shown = sqlitefile.shown_path(path)
        if error.errno == 28:
            raise DiskFull(f"no space to create the catalog {shown}") from error
        raise CatalogReadOnly(
            f"cannot create the catalog {shown}: {error.strerror}",
            hint="check the rights of the folder, or set catalog.database_url",
        ) from error


def _build(path: Path, patience: float) -> None:
    shown = sqlitefile.shown_path(path)
    with translated(shown):
        connection = sqlite3.connect(path)
        try:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        store = sqlite_store(path, patience, read_only=False)
        try:
            _run(store)
            with store.engine.connect() as opened:
                driver = opened.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            store.close()
    sqlitefile.flush_file(path)


def upgrade(store: Store, *, keep_backups: int) -> None:
    """Bring the tables of an open catalog to :data:`HEAD`, after a copy of an SQLite file.

    Another process that is doing the same is waited for.

    :raises CatalogLocked: it took longer than we wait.
    """
    with _lock(store):
        revision = read_revision(store)
        check_revision(revision, store)
        if revision == HEAD:
            return
        if store.path is not None and revision is not None:
            with translated(store.shown):
                sqlitefile.back_up(store.path, revision, keep=keep_backups)
        with translated(store.shown):
            _run(store)


def _run(store: Store) -> None:
    with store.write() as writer:
        command.upgrade(alembic_config(writer.connection), "head")


@contextmanager
def _lock(store: Store) -> Iterator[None]:
    if store.path is not None:
        with _file_lock(store.path, store.patience):
            yield
        return
    with translated(store.shown), store.engine.connect() as connection:
        deadline = time.monotonic() + store.patience
        key = {"key": _ADVISORY_LOCK}
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key):
            if time.monotonic() > deadline:
                raise CatalogLocked(f"the catalog {store.shown} is being upgraded by another")
            time.sleep(_POLL)
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            connection.commit()


@contextmanager
def _file_lock(path: Path, patience: float) -> Iterator[None]:
    lock = filelock.FileLock(path.with_name(path.name + ".lock"), timeout=patience)
    try:
        with lock:
            yield
    except filelock.Timeout as error:
        raise CatalogLocked(
            f"the catalog {sqlitefile.shown_path(path)} is being upgraded by another process"
        ) from error
