"""Keeping a library: what Civitai was asked, what was verified, what lies here twice."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, exists, func, or_, select, update

from modelhub.catalog.batching import batches
from modelhub.catalog.keeprows import BlobKey, Copy, Due, DuplicateSet, ReadingOrder
from modelhub.catalog.rows import FileState
from modelhub.catalog.store import Store
from modelhub.catalog.tables import blobs, local_files, remote_files, roots
from modelhub.catalog.types import taken
from modelhub.errors import UnknownFile

_PRESENT = local_files.c.state != FileState.MISSING.value


def unmatched(
    store: Store,
    limit: int,
    asked_before: datetime,
    everything: bool,
    file_ids: Sequence[int] | None,
) -> list[BlobKey]:
    """See :meth:`modelhub.catalog.Catalog.unmatched`."""
    columns = blobs.c
    statement = (
        select(
            columns.sha256, columns.blake3, columns.crc32, columns.autov1, columns.autov3,
            columns.size,
        )
        .where(or_(columns.asked_at.is_(None), columns.asked_at < asked_before))
        .order_by(columns.id)
    )  # fmt: skip
    if not everything:
        statement = statement.where(~exists().where(remote_files.c.blob_id == columns.id))
    found: list[BlobKey] = []
    with store.read() as connection:
        if file_ids is None:
            here = exists().where(local_files.c.blob_id == columns.id, _PRESENT)
            rows = connection.execute(statement.where(here).limit(taken(limit)))
            return [BlobKey._make(row) for row in rows]
        for blob_ids in _blobs_of(connection, file_ids):
            rows = connection.execute(statement.where(columns.id.in_(blob_ids)))
            found += [BlobKey._make(row) for row in rows]
            if len(found) >= limit:
                break
    return list(dict.fromkeys(found))[: taken(limit)]


def _blobs_of(connection: Connection, file_ids: Sequence[int]) -> Iterator[list[int]]:
    for batch in batches(set(file_ids)):
        yield list(
            connection.scalars(
                select(local_files.c.blob_id)
                .where(local_files.c.id.in_(batch), local_files.c.blob_id.is_not(None))
                .distinct()
            )
        )


def record_asked(store: Store, at: datetime, sha256s: Iterable[str]) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_asked`."""
    with store.write() as writer:
        for batch in batches({one.upper() for one in sha256s}):
            writer.connection.execute(
                update(blobs).where(blobs.c.sha256.in_(batch)).values(asked_at=at)
            )


def record_verified(store: Store, file_id: int, at: datetime, ok: bool, fault: str | None) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_verified`."""
    columns = local_files.c
    with store.write() as writer:
        known = writer.connection.execute(
            select(columns.fault, columns.verify_ok).where(columns.id == file_id)
        ).first()
        if known is None:
            raise UnknownFile(f"the catalog knows no file #{file_id}")
        if ok:
            # A fault that an earlier verification found is over; one of the content stays.
            fault = None if known.verify_ok is False else known.fault
        writer.connection.execute(
            update(local_files)
            .where(columns.id == file_id)
            .values(verified_at=at, verify_ok=ok, fault=fault)
        )
        if fault != known.fault:
            writer.files_changed([file_id])


_HASHED = local_files.c.state == FileState.HASHED.value


def reading_order(store: Store, file_ids: Sequence[int] | None) -> ReadingOrder:
    """See :meth:`modelhub.catalog.Catalog.reading_order`."""
    columns = local_files.c
    statement = (
        select(columns.id, columns.size, columns.verified_at, columns.part_of)
        .where(_HASHED, columns.blob_id.is_not(None))
        .order_by(
            columns.verified_at.is_not(None),
            func.coalesce(columns.verified_at, columns.added_at),
            columns.id,
        )
    )
    wanted = None if file_ids is None else frozenset(file_ids)
    order = ReadingOrder(array("q"), array("q"), array("d"))
    with store.read() as connection:
        for row in connection.execute(statement):
            if wanted is None or row.id in wanted or row.part_of in wanted:
                order.ids.append(row.id)
                order.sizes.append(row.size)
                order.verified.append(row.verified_at.timestamp() if row.verified_at else 0.0)
    return order


def due_files(store: Store, file_ids: Sequence[int]) -> list[Due]:
    """See :meth:`modelhub.catalog.Catalog.due_files`."""
    columns = local_files.c
    statement = (
        select(
            columns.id, roots.c.path, columns.path.label("below"), columns.size, columns.mtime_ns,
            columns.inode, blobs.c.sha256, columns.fault, columns.verified_at, columns.verify_ok,
            exists().where(remote_files.c.sha256 == blobs.c.sha256).label("published"),
        )
        .select_from(local_files)
        .join(roots, roots.c.id == columns.root_id)
        .join(blobs, blobs.c.id == columns.blob_id)
        .where(_HASHED)
    )  # fmt: skip
    found: dict[int, Due] = {}
    with store.read() as connection:
        for batch in batches(set(file_ids)):
            rows = connection.execute(statement.where(columns.id.in_(batch)))
            found.update((row.id, Due._make(row)) for row in rows)
    return [found[one] for one in file_ids if one in found]


_COPIES = (
    select(
        local_files.c.id,
        roots.c.path.label("root"),
        local_files.c.path,
        local_files.c.size,
        local_files.c.mtime_ns,
        local_files.c.inode,
        local_files.c.added_at,
        blobs.c.sha256,
        blobs.c.format,
        blobs.c.precision,
    )
    .select_from(local_files)
    .join(roots, roots.c.id == local_files.c.root_id)
    .join(blobs, blobs.c.id == local_files.c.blob_id)
    .where(_HASHED)
)


def duplicates(store: Store) -> Iterator[DuplicateSet]:
    """See :meth:`modelhub.catalog.Catalog.duplicates`."""
    several = (
        select(local_files.c.blob_id)
        .where(_HASHED, local_files.c.blob_id.is_not(None))
        .group_by(local_files.c.blob_id)
        .having(func.count() > 1)
    )
    statement = _COPIES.where(blobs.c.id.in_(several)).order_by(
        blobs.c.size.desc(), blobs.c.sha256, local_files.c.id
    )
    with store.read() as connection:
        copies = (Copy(**row._mapping) for row in connection.execute(statement))
        for sha256, files in groupby(copies, key=lambda copy: copy.sha256):
            yield DuplicateSet(sha256=sha256, files=tuple(files))
