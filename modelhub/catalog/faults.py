"""What goes wrong inside SQLite, PostgreSQL and their drivers, as errors of modelhub.

SQLite's codes: https://www.sqlite.org/rescode.html. PostgreSQL's:
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from modelhub.errors import (
    CatalogCorrupt,
    CatalogError,
    CatalogLocked,
    CatalogReadOnly,
    CatalogUnreachable,
    DiskError,
    DiskFull,
    ModelhubError,
)

_PRIMARY = 0xFF
"""The part of an extended result code that is the plain one."""
_SQLITE: dict[int, tuple[type[ModelhubError], str]] = {
    sqlite3.SQLITE_BUSY: (CatalogLocked, "is locked by another process"),
    sqlite3.SQLITE_LOCKED: (CatalogLocked, "is locked"),
    sqlite3.SQLITE_READONLY: (CatalogReadOnly, "cannot be written to"),
    sqlite3.SQLITE_PERM: (CatalogReadOnly, "cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: (CatalogError, "cannot be opened"),
    sqlite3.SQLITE_CORRUPT: (CatalogCorrupt, "is damaged"),
    sqlite3.SQLITE_NOTADB: (CatalogCorrupt, "is no catalog"),
    sqlite3.SQLITE_FULL: (DiskFull, "cannot grow: the disk is full"),
    sqlite3.SQLITE_IOERR: (DiskError, "cannot be read or written: the disk reports an error"),
}
_POSTGRES: dict[str, tuple[type[ModelhubError], str]] = {
    "55P03": (CatalogLocked, "is locked by another process"),
    "40P01": (CatalogLocked, "is locked: two processes waited for each other"),
    "25P03": (CatalogUnreachable, "has ended what this machine was silent in for too long"),
    "25006": (CatalogReadOnly, "cannot be written to"),
    "42501": (CatalogReadOnly, "does not let this user do that"),
    "53100": (DiskFull, "cannot grow: the server's disk is full"),
    "54000": (CatalogError, "cannot index a value as long as this one"),
    "XX001": (CatalogCorrupt, "is damaged"),
    "XX002": (CatalogCorrupt, "is damaged"),
}
DRIVER_HINT = "install the driver: pip install 'modelhub[postgres]'"


def sqlite_fault(error: sqlite3.Error, shown: str) -> ModelhubError:
    """The error for what SQLite reported about the catalog `shown`."""
    code = getattr(error, "sqlite_errorcode", None)
    known = _SQLITE.get(code & _PRIMARY) if code is not None else None
    if known is None:
        return CatalogError(f"the catalog {shown} reports: {error}")
    kind, text = known
    return kind(f"the catalog {shown} {text} ({error})")


def _postgres_fault(error: BaseException, shown: str) -> ModelhubError:
    state = getattr(error, "sqlstate", None)
    known = _POSTGRES.get(state or "")
    if known:
        kind, text = known
        return kind(f"the catalog {shown} {text}")
    if state is None or state[:2] in ("08", "28", "3D", "53", "57"):
        # Without a state the connection itself failed, and the driver's text repeats the address
        # that it was given: the class says as much, and holds no password.
        return CatalogUnreachable(
            f"the database {shown} does not answer or refuses"
            + (f" (SQLSTATE {state})" if state else ""),
            hint="check catalog.database_url, the server, and the user's rights",
        )
    return CatalogError(f"the catalog {shown} reports SQLSTATE {state}")


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Raise what a database raises inside the block as an error of modelhub.

    Mistakes of the program (an unknown column, a broken constraint) are not translated.

    :param shown: how the catalog is named in messages.
    """
    try:
        yield
    except DBAPIError as error:
        fault = _fault(error, shown)
        if fault is None:
            raise
        raise fault from _without_secrets(error)
    except sqlite3.Error as error:
        raise sqlite_fault(error, shown) from error
    except NoSuchModuleError as error:
        raise CatalogError(f"no driver for the catalog {shown}", hint=DRIVER_HINT) from error


def _fault(error: DBAPIError, shown: str) -> ModelhubError | None:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0) & _PRIMARY
        if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH):
            return None
        return sqlite_fault(original, shown)
    state = getattr(original, "sqlstate", None)
    if original is None or (state and state[:2] in ("22", "23", "42") and state not in _POSTGRES):
        return None
    return _postgres_fault(original, shown)


def _without_secrets(error: DBAPIError) -> BaseException | None:
    """The cause to keep for tracebacks: PostgreSQL's may hold connection parameters."""
    return error if isinstance(error.orig, sqlite3.Error) else None
