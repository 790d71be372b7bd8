"""A catalog's file, looked at before SQLite is: what SQLite would silently take for an empty
database, or only notice on the page that is missing, is told here at once."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from modelhub.catalog.faults import sqlite_fault
from modelhub.catalog.revision import APPLICATION_ID
from modelhub.errors import CatalogCorrupt, CatalogError, CatalogReadOnly

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_PAGE_SIZE, _CHANGES, _PAGES, _APPLICATION, _PAGES_VALID_FOR = 16, 24, 28, 68, 92
_CACHE = -32_768
"""KiB of pages that a connection keeps."""
_LOG_PAGES = 4_000
"""Pages in the log from which on it is merged: the same pages of the indexes are written again and
again while a library is indexed, and so reach the file once for several transactions."""
_MAPPED = 64 << 20
"""Bytes of the file that are read by mapping, without a copy."""
_holding = threading.RLock()
_held: Counter[tuple[int, int]] = Counter()
"""How often each file is open in this process, by device and inode."""


def shown_path(path: Path) -> str:
    """`path` fit for a message, whatever bytes its name holds."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def wal_of(path: Path) -> Path:
    """Its write-ahead log."""
    return path.with_name(path.name + "-wal")


def _wal_is_empty(path: Path) -> bool:
    try:
        return wal_of(path).stat().st_size == 0
    except FileNotFoundError:
        return True


def hold(path: Path) -> Callable[[], None]:
    """Look at the file as :func:`check_header` does, and have this process keep from looking again
    while it is open here; what is returned says that it was closed.

    A system that goes by POSIX takes all of a process's locks on a file away when that closes any
    descriptor of the file. Another process that then ends its work would take itself for the last
    one, and delete the log from under the connections that are still open.

    :raises CatalogCorrupt, CatalogError: as :func:`check_header`.
    """
    with _holding:
        check_header(path)
        held = _identity(path)
        _held[held] += 1
    released = False

    def release() -> None:
        nonlocal released
        with _holding:
            if not released:
                _held[held] -= 1
            released = True

    return release


def check_header(path: Path) -> None:
    """Look at the first bytes, and at the length; at nothing of a file that is open here.

    :raises CatalogCorrupt: it is empty, no SQLite database, another program's, or cut short.
    :raises CatalogError: it cannot be read at all.
    """
    shown = shown_path(path)
    with _holding:
        if _held[_identity(path)]:
            return
        header, length = _read_header(path)
    if not header:
        raise CatalogCorrupt(f"the catalog {shown} is an empty file")
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise CatalogCorrupt(f"{shown} is no catalog: it is no SQLite database")

    def number(at: int) -> int:
        return int.from_bytes(header[at : at + 4], "big")

    if number(_APPLICATION) not in (APPLICATION_ID, 0):
        raise CatalogCorrupt(f"{shown} is no catalog: another program made it")
    page = int.from_bytes(header[_PAGE_SIZE : _PAGE_SIZE + 2], "big")
    expected = number(_PAGES) * (65_536 if page == 1 else page)
    # While there is a log, the missing pages may be in it.
    counted = number(_CHANGES) == number(_PAGES_VALID_FOR)
    if counted and length < expected and _wal_is_empty(path):
        raise CatalogCorrupt(
            f"the catalog {shown} is cut short: {length:,} of {expected:,} bytes are there"
        )


def _identity(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return about.st_dev, about.st_ino


def _read_header(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(_HEADER), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> CatalogError:
    return CatalogError(f"the catalog {shown_path(path)} cannot be read: {error.strerror}")


def can_be_written(path: Path) -> bool:
    """Whether file and folder let us write: SQLite needs both."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connector(
    path: Path, *, busy_timeout: float, read_only: bool
) -> Callable[[], sqlite3.Connection]:
    """A function that opens connections to the file; it never creates one.

    A catalog on read-only storage is opened as immutable where SQLite cannot make the shared
    memory that WAL needs.

    :raises CatalogReadOnly: the storage is read-only, and a log waits that would have to be merged.
    """
    mode = "mode=ro" if read_only else "mode=rw"
    if read_only and not _opens(path, mode):
        if not _wal_is_empty(path):
            raise CatalogReadOnly(
                f"the catalog {shown_path(path)} has unmerged changes and cannot be written to",
                hint="open it once where its folder can be written to",
            )
        mode += "&immutable=1"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            _uri(path, mode), uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = {_CACHE}")
        connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        return connection

    return connect


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}?{mode}"


def _opens(path: Path, mode: str) -> bool:
    try:
        connection = sqlite3.connect(_uri(path, mode), uri=True)
    except sqlite3.OperationalError:
        return False
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError as error:
        raise sqlite_fault(error, shown_path(path)) from error
    finally:
        connection.close()
    return True


def backups_of(path: Path) -> list[Path]:
    """The copies that were made before upgrades, the newest first."""
    found = path.parent.glob(f"{_literal(path.name)}.backup-*-*Z")
    return sorted(found, key=lambda backup: backup.name.rpartition("-")[2], reverse=True)


def _literal(name: str) -> str:
    import glob

    return glob.escape(name)


def back_up(path: Path, revision: str, *, keep: int) -> Path:
    """Copy the catalog beside itself, as SQLite copies a database in use; drop the oldest copies,
    and what a process that was killed meanwhile left of one.

    :returns: the copy, ``<name>.backup-<revision>-<UTC time>Z``.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    target = path.with_name(f"{path.name}.backup-{revision}-{now}Z")
    unfinished = target.with_name(f".{target.name}.part")
    for left_over in path.parent.glob(f".{_literal(path.name)}.backup-*.part"):
        left_over.unlink(missing_ok=True)
    source = sqlite3.connect(_uri(path, "mode=rw"), uri=True)
    copy = sqlite3.connect(unfinished)
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
        source.close()
    flush_file(unfinished)
    unfinished.rename(target)
    for old in backups_of(path)[keep:]:
        old.unlink(missing_ok=True)
    return target


def flush_file(path: Path) -> None:
    """Have the disk keep what the file holds."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
