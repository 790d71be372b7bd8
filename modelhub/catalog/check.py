"""The state of the catalog itself, for `doctor`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Executable, Select, func, select, text
from sqlalchemy.exc import DBAPIError

from modelhub.catalog import sqlitefile
from modelhub.catalog.faults import translated
from modelhub.catalog.listingtables import listings, search_text, search_vectors
from modelhub.catalog.revision import HEAD
from modelhub.catalog.showing import CheckReport, Finding
from modelhub.catalog.store import Store, read_revision
from modelhub.catalog.tables import local_files
from modelhub.errors import ModelhubError

MOST_NAMED = 3
"""So many problems of one check are quoted."""


def check(store: Store, *, thorough: bool) -> CheckReport:
    """See :meth:`modelhub.catalog.Catalog.check`."""
    revision, findings = _guarded("revision", lambda: _revision(store))
    with store.read() as connection:
        if store.backend == "sqlite":
            findings += _sqlite_findings(store, connection, thorough=thorough)
        findings.append(_finding("listings", lambda: _listings(store, connection)))
        files = _number(connection, select(func.count()).select_from(local_files))
        size, free = _sizes(store, connection)
    backups = sqlitefile.backups_of(store.path) if store.path else []
    return CheckReport(
        database=store.shown,
        revision=revision,
        size=size,
        free_bytes=free,
        files=files,
        backups=tuple(map(sqlitefile.shown_path, backups)),
        findings=tuple(findings),
    )


def _guarded(
    name: str, ask: Callable[[], tuple[str | None, Finding]]
) -> tuple[str | None, list[Finding]]:
    try:
        value, finding = ask()
    except ModelhubError as error:
        return None, [Finding(check=name, ok=False, text=error.message)]
    return value, [finding]


def _finding(name: str, problems: Callable[[], list[str]]) -> Finding:
    """Run a check that lists problems; a database that cannot even be asked is one."""
    try:
        found = problems()
    except ModelhubError as error:
        found = [error.message]
    if not found:
        return Finding(check=name, ok=True, text="ok")
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return Finding(check=name, ok=False, text="; ".join(found[:MOST_NAMED]) + more)


def _revision(store: Store) -> tuple[str | None, Finding]:
    revision = read_revision(store)
    ok = revision == HEAD
    return revision, Finding(check="revision", ok=ok, text=f"{revision}, this program's is {HEAD}")


def _sqlite_findings(store: Store, connection: Connection, *, thorough: bool) -> list[Finding]:
    def pragma(name: str) -> list[str]:
        with translated(store.shown):
            rows = connection.execute(text(f"PRAGMA {name}")).all()
        return [" ".join(map(str, row)) for row in rows if row[0] != "ok"]

    findings = [
        _finding("pages", lambda: pragma("integrity_check" if thorough else "quick_check")),
        _finding("references", lambda: pragma("foreign_key_check")),
    ]
    if thorough and not store.read_only:
        findings.append(_finding("full-text index", lambda: _full_text(store)))
    return findings


def _full_text(store: Store) -> list[str]:
    """FTS5 compares its index with ``search_text`` (an INSERT is how it is told to)."""
    with store.write() as writer:
        try:
            writer.connection.exec_driver_sql(
                "INSERT INTO search_index(search_index, rank) VALUES ('integrity-check', 1)"
            )
        except Exception as error:
            original = getattr(error, "orig", None)
            if not isinstance(original, sqlite3.DatabaseError):
                raise
            return [f"the full-text index is not in step: {original}"]
    return []


def _listings(store: Store, connection: Connection) -> list[str]:
    """Each model has a listing, each listing its words."""
    words = search_vectors if store.backend == "postgresql" else search_text
    with translated(store.shown):
        models = local_files.c.part_of.is_(None)
        unlisted = connection.scalar(_without(local_files, listings).where(models))
        unindexed = connection.scalar(_without(listings, words))
    problems = [f"{unlisted} files have no listing"] if unlisted else []
    return problems + ([f"{unindexed} files are not searchable"] if unindexed else [])


def _without(table: Any, other: Any) -> Select[int]:
    missing = table.outerjoin(other, other.c.id == table.c.id)
    return select(func.count()).select_from(missing).where(other.c.id.is_(None))


def _number(connection: Connection, statement: Executable) -> int | None:
    try:
        number: int | None = connection.scalar(statement)
        return number
    except DBAPIError:
        return None


def _sizes(store: Store, connection: Connection) -> tuple[int | None, int | None]:
    if store.path is None:
        return _number(connection, select(func.pg_database_size(func.current_database()))), None
    size = store.path.stat().st_size
    log = sqlitefile.wal_of(store.path)
    size += log.stat().st_size if log.exists() else 0
    free, page = (
        _number(connection, text(f"PRAGMA {name}")) for name in ("freelist_count", "page_size")
    )
    return size, None if free is None or page is None else free * page
