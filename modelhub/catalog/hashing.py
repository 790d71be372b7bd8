"""Files that wait to be hashed, and recording what they hashed to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, case, delete, select, update

from modelhub.catalog.recording import put_blob, says_nothing_new
from modelhub.catalog.records import BlobRecord, Found
from modelhub.catalog.rows import FileState
from modelhub.catalog.scanrows import Hashed, Waiting
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import blobs, findings, local_files, roots
from modelhub.catalog.texts import stored_number
from modelhub.catalog.types import taken

_HOUR = 3_600 * 10**9
_AGES = (_HOUR, 24 * _HOUR, 7 * 24 * _HOUR, 30 * 24 * _HOUR)
_FOUND = msgspec.json.Decoder(Found)
_FACTS = Found.__dataclass_fields__.keys()


def unhashed(
    store: Store, now: datetime, limit: int, without: Collection[int], root_id: int | None
) -> list[Waiting]:
    """See :meth:`modelhub.catalog.Catalog.unhashed`."""
    files = local_files.c
    now_ns = int(now.timestamp() * 1e9)
    ages = [(files.mtime_ns > now_ns - age, number) for number, age in enumerate(_AGES)]
    statement = (
        select(files.id, roots.c.path, files.path, files.size, files.mtime_ns, files.fault)
        .join(roots, roots.c.id == files.root_id)
        .where(files.state.in_((FileState.NEW.value, FileState.CHANGED.value)))
        .order_by(case(*ages, else_=len(_AGES)), files.size, files.id)
        .limit(taken(limit) + len(without))
    )
    if root_id is not None:
        statement = statement.where(files.root_id == root_id)
    with store.read() as connection:
        rows = [Waiting._make(row) for row in connection.execute(statement)]
    return [row for row in rows if row.id not in without][:limit]


def record_hashed(store: Store, now: datetime, hashed: Sequence[Hashed]) -> list[bool]:
    """See :meth:`modelhub.catalog.Catalog.record_hashed_many`."""
    with store.write() as writer:
        return [_record(writer, now, one) for one in hashed]


def record_same_content(store: Store, file_id: int, blob_id: int, size: int, mtime_ns: int) -> bool:
    """See :meth:`modelhub.catalog.Catalog.record_same_content`."""
    with store.write() as writer:
        known = _as_it_was(writer, file_id, size, mtime_ns)
        there = select(blobs.c.id).where(blobs.c.id == blob_id, blobs.c.size == size)
        if known is None or writer.connection.scalar(there) is None:
            return False
        _put(writer, file_id, known, blob_id, known.fault, new_facts=False)
        return True


def _as_it_was(
    writer: Writer, file_id: int, size: int, mtime_ns: int
) -> Row[*tuple[Any, ...]] | None:
    """A file with what was found in it, unless it is another by now."""
    files = local_files.c
    row = writer.connection.execute(
        select(
            files.size, files.mtime_ns, files.blob_id, files.fault,
            findings.c.facts, findings.c.header, findings.c.scan,
        )
        .select_from(local_files)
        .outerjoin(findings, findings.c.file_id == files.id)
        .where(files.id == file_id)
    ).first()  # fmt: skip
    same = row is not None and (row.size, row.mtime_ns) == (size, stored_number(mtime_ns))
    return row if same else None


def _record(writer: Writer, now: datetime, hashed: Hashed) -> bool:
    known = _as_it_was(writer, hashed.file_id, hashed.size, hashed.mtime_ns)
    if known is None:
        return False
    blob = hashed.blob
    if known.facts is not None:
        blob = _completed(blob, _FOUND.decode(known.facts), known.header, known.scan)
    new_facts = not says_nothing_new(writer, blob)
    blob_id = put_blob(writer, now, blob)
    _put(writer, hashed.file_id, known, blob_id, hashed.fault, new_facts=new_facts)
    return True


def _put(
    writer: Writer,
    file_id: int,
    known: Row[*tuple[Any, ...]],
    blob_id: int,
    fault: str | None,
    *,
    new_facts: bool,
) -> None:
    """Give a file its content, which keeps from now on what was found in the file."""
    writer.connection.execute(
        update(local_files)
        .where(local_files.c.id == file_id)
        .values(
            blob_id=blob_id,
            state=FileState.HASHED.value,
            fault=fault,
            verified_at=None,
            verify_ok=None,
        )
    )
    if known.facts is not None:
        writer.connection.execute(delete(findings).where(findings.c.file_id == file_id))
    writer.files_changed([file_id])
    if known.blob_id is not None and known.blob_id != blob_id:
        writer.blobs_changed([known.blob_id])
    if new_facts:
        writer.blobs_changed([blob_id])
    else:
        writer.copies_grew([blob_id])


def _completed(blob: BlobRecord, found: Found, header: str | None, scan: str | None) -> BlobRecord:
    """`blob` with what was found in the file where it does not say."""
    missing = {
        name: getattr(found, name)
        for name in _FACTS
        if name not in ("header", "scan") and getattr(blob, name) in (None, ())
    }
    missing["guessed"] = blob.guessed or (blob.kind is None and found.guessed)
    return replace(
        blob,
        **missing,
        header=blob.header if blob.header is not None else header,
        scan=blob.scan if blob.scan is not None else scan,
    )
