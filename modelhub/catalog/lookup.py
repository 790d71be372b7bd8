"""Finding one file: by path, by content, by version, or by whatever a person typed."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from modelhub.catalog.filerows import rows_where
from modelhub.catalog.fulltext.words import folded
from modelhub.catalog.listingtables import listings
from modelhub.catalog.paths import decode_path, encode_path, escaped
from modelhub.catalog.rows import FileRow, FileState
from modelhub.catalog.search.compiling import blobs_with_hash
from modelhub.catalog.store import Store
from modelhub.catalog.tables import blobs, local_files, remote_files
from modelhub.catalog.tables import roots as roots_table
from modelhub.catalog.texts import LARGEST
from modelhub.errors import AmbiguousFile, UnknownFile

_HASH = re.compile("[0-9A-Fa-f]{8,64}")
_FILE_ID = re.compile("#([0-9]{1,18})")
_VERSION_ID = re.compile("(?:[0-9]{1,18}@)?([0-9]{1,18})")
_UNNAMEABLE = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
"""What no file name gives, even one whose bytes are not UTF-8."""
_NAMED = 5
"""So many of several files are named in a message."""


def find_local_by_sha256(store: Store, sha256: str) -> list[FileRow]:
    """See :meth:`modelhub.catalog.Catalog.find_local_by_sha256`."""
    with store.read() as connection:
        rows = rows_where(connection, blobs.c.sha256 == sha256.upper())
    return sorted(rows, key=lambda row: row.state is FileState.MISSING)


def find_local_by_version(store: Store, version_id: int) -> list[FileRow]:
    """See :meth:`modelhub.catalog.Catalog.find_local_by_version`."""
    with store.read() as connection:
        return rows_where(connection, _of_version(version_id))


def find_local_by_path(store: Store, path: Path) -> FileRow | None:
    """See :meth:`modelhub.catalog.Catalog.find_local_by_path`."""
    with store.read() as connection:
        rows = _at_path(connection, path)
    return rows[0] if rows else None


def _of_version(version_id: int) -> ColumnElement[bool]:
    published = exists().where(
        remote_files.c.version_id == version_id,
        remote_files.c.blob_id == local_files.c.blob_id,
    )
    return or_(local_files.c.version_id == version_id, published)


def _at_path(connection: Connection, path: Path) -> list[FileRow]:
    """The file at `path`, absolute or relative to the working folder, in whichever root; of a part
    of a model, the first file."""
    with suppress(RuntimeError):  # no such user: "~name" is a name like any other
        path = path.expanduser()
    whole = Path(os.path.normpath(path.absolute()))
    places = []
    for root_id, text in connection.execute(select(roots_table.c.id, roots_table.c.path)):
        root = decode_path(text)
        if whole != root and whole.is_relative_to(root):
            relative = encode_path(whole.relative_to(root))
            places.append(and_(local_files.c.root_id == root_id, local_files.c.path == relative))
    if not places:
        return []
    here = select(func.coalesce(local_files.c.part_of, local_files.c.id)).where(or_(*places))
    return rows_where(connection, local_files.c.id.in_(here))


def resolve_file(store: Store, text: str) -> FileRow:
    """See :meth:`modelhub.catalog.Catalog.resolve_file`."""
    text = text.strip()
    if not text or _UNNAMEABLE.search(text):
        raise UnknownFile("no file was named")
    with store.read() as connection:
        for way in (_by_path, _by_id, _by_hash, _by_version, _by_name, _by_start_of_name):
            rows = way(connection, text)
            if len(rows) == 1:
                return rows[0]
            if rows:
                return _one_of(rows, text)
    raise UnknownFile(f"the catalog knows no file {text!r}")


def _one_of(rows: list[FileRow], text: str) -> FileRow:
    """The file that is on disk, when the others are not, or when all are the same content."""
    present = [row for row in rows if row.state is not FileState.MISSING] or rows
    contents = {row.sha256 for row in present}
    if len(present) == 1 or (len(contents) == 1 and None not in contents):
        return present[0]
    names = ", ".join(row.path for row in present[:_NAMED])
    more = ", ..." if len(present) > _NAMED else ""
    raise AmbiguousFile(f"{text!r} fits several files: {names}{more}")


def _by_path(connection: Connection, text: str) -> list[FileRow]:
    rows = _at_path(connection, Path(text))
    if rows:
        return rows
    return rows_where(connection, local_files.c.path == encode_path(Path(os.path.normpath(text))))


def _by_id(connection: Connection, text: str) -> list[FileRow]:
    found = _FILE_ID.fullmatch(text)
    return rows_where(connection, local_files.c.id == int(found[1])) if found else []


def _by_hash(connection: Connection, text: str) -> list[FileRow]:
    if not _HASH.fullmatch(text):
        return []
    found = local_files.c.blob_id.in_(blobs_with_hash(text.upper()))
    return rows_where(connection, found, limit=100)


def _by_version(connection: Connection, text: str) -> list[FileRow]:
    found = _VERSION_ID.fullmatch(text)
    if not found or int(found[1]) > LARGEST:
        return []
    return rows_where(connection, _of_version(int(found[1])), limit=100)


def _by_name(connection: Connection, text: str) -> list[FileRow]:
    return rows_where(connection, listings.c.name_key == folded(escaped(text)), limit=100)


def _by_start_of_name(connection: Connection, text: str) -> list[FileRow]:
    start = folded(escaped(text))
    after = start + chr(0x10FFFF)
    within = and_(listings.c.name_key >= start, listings.c.name_key < after)
    return rows_where(connection, within, limit=100)
