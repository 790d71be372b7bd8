"""What a scan of the disk writes into the catalog: new files in bulk, and those it followed.

A million files pass through here, as the values that :mod:`modelhub.catalog.scanning` prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, select, update

from modelhub.catalog.batching import batches
from modelhub.catalog.bulk import insert_rows, new_file_ids, rows_in, run_many, time_for
from modelhub.catalog.describing import LISTING_COLUMNS
from modelhub.catalog.fulltext.index import FullText
from modelhub.catalog.listingtables import listings
from modelhub.catalog.rows import FileState
from modelhub.catalog.scanning import Prepared
from modelhub.catalog.scanrows import InodeMatch
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import findings, local_files
from modelhub.catalog.texts import stored_inode, stored_number, unpacked
from modelhub.catalog.verdicts import put_scan

_ALONE = "LOCK TABLE local_files IN SHARE ROW EXCLUSIVE MODE"


def record_scanned(store: Store, root_id: int, files: Sequence[Prepared]) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_scanned`."""
    files = list({one.path: one for one in files}.values())
    if not files:
        return
    with store.write() as writer:
        if writer.backend == "postgresql":
            # Else another scan could add the same files between our look and our insert.
            writer.connection.exec_driver_sql(_ALONE)
        wanted = dict.fromkeys(path for one in files for path in (one.path, one.part_of) if path)
        known = _known_by_path(writer, root_id, list(wanted))
        new = [one for one in files if one.path not in known]
        ids = {path: row.id for path, row in known.items()}
        ids |= zip((one.path for one in new), new_file_ids(writer, len(new)), strict=True)
        if new:
            _insert(writer, store.full_text, root_id, new, ids)
        for one in files:
            row = known.get(one.path)
            if row is not None:
                _update(writer, row, one, ids)
        writer.files_changed(
            {ids[one.part_of] for one in files if one.part_of and one.part_of in ids}
        )


class _Known(NamedTuple):
    """What is asked of a file that is recorded again."""

    id: int
    path: str
    size: int
    mtime_ns: int
    state: str
    blob_id: int | None


def _known_by_path(writer: Writer, root_id: int, paths: list[str]) -> dict[str, _Known]:
    return {
        row[1]: _Known._make(row)
        for row in rows_in(
            writer.connection,
            f"SELECT {', '.join(_Known._fields)} FROM local_files"  # noqa: S608 (our own names)
            " WHERE root_id = ? AND path IN (?)",
            paths,
            root_id,
        )
    }


_FILE_COLUMNS = (
    "id", "root_id", "path", "size", "mtime_ns", "inode", "state", "added_at", "part_of", "fault",
)  # fmt: skip
_FINDING_COLUMNS = ("file_id", "facts", "header", "scan")
_PLACES = {name: LISTING_COLUMNS.index(name) for name in ("id", "root_id", "added_at")}


def _insert(
    writer: Writer, full_text: FullText, root_id: int, new: Sequence[Prepared], ids: dict[str, int]
) -> None:
    """Add files that the catalog does not know."""
    time = time_for(writer)
    times = {at: time(at) for at in {one.added_at for one in new}}
    new_state = FileState.NEW.value
    rows, found, listed, texts = [], [], [], []
    for one in new:
        number, at = ids[one.path], times[one.added_at]
        main = ids.get(one.part_of) if one.part_of else None
        rows.append(
            (number, root_id, one.path, one.size, one.mtime_ns, one.inode, new_state, at, main,
             one.fault)
        )  # fmt: skip
        if one.facts is not None:
            found.append((number, one.facts, one.header, one.scan))
        if one.listing is not None and one.texts is not None:
            row = list(one.listing)
            row[_PLACES["id"]] = number
            row[_PLACES["root_id"]] = root_id
            row[_PLACES["added_at"]] = at
            listed.append(tuple(row))
            texts.append((number, one.texts))
        elif main is None:
            writer.files_changed([number])
    insert_rows(writer, local_files, _FILE_COLUMNS, rows)
    insert_rows(writer, findings, _FINDING_COLUMNS, found)
    insert_rows(writer, listings, LISTING_COLUMNS, listed)
    full_text.add(writer, texts)


def _update(writer: Writer, known: _Known, one: Prepared, ids: dict[str, int]) -> None:
    """Record what a known file is now."""
    same = (known.size, known.mtime_ns) == (one.size, one.mtime_ns)
    state = FileState(known.state)
    if known.blob_id is None:
        state = FileState.NEW
    elif not same:
        state = FileState.CHANGED
    elif state is FileState.MISSING:
        state = FileState.HASHED
    connection = writer.connection
    connection.execute(
        update(local_files)
        .where(local_files.c.id == known.id)
        .values(
            size=one.size,
            mtime_ns=one.mtime_ns,
            inode=one.inode,
            state=state.value,
            fault=one.fault,
            part_of=ids.get(one.part_of) if one.part_of else None,
        )
    )
    connection.execute(delete(findings).where(findings.c.file_id == known.id))
    if one.facts is not None:
        row = (known.id, one.facts, one.header, one.scan)
        insert_rows(writer, findings, _FINDING_COLUMNS, [row])
    writer.files_changed([known.id])
    if known.blob_id is not None and state is FileState.HASHED:
        report = unpacked(one.scan) if one.scan is not None else None
        put_scan(writer, known.blob_id, one.verdict, one.scanner, report)
    if known.blob_id is not None:
        writer.blobs_changed([known.blob_id])


def find_by_inode(store: Store, stats: Sequence[tuple[int, int, int]]) -> list[InodeMatch]:
    """See :meth:`modelhub.catalog.Catalog.find_by_inode`."""
    wanted = {
        (stored_inode(inode) or 0, size, stored_number(mtime)) for inode, size, mtime in stats
    }
    statement = f"SELECT {', '.join(InodeMatch._fields)} FROM local_files WHERE inode IN (?)"  # noqa: S608 (our own names)
    with store.read() as connection:
        rows = rows_in(connection, statement, list({inode for inode, _, _ in wanted}))
    found = map(InodeMatch._make, rows)
    return [one for one in found if (one.inode, one.size, one.mtime_ns) in wanted]


def touch(store: Store, stats: Sequence[tuple[int, int, int, int | None]]) -> None:
    """See :meth:`modelhub.catalog.Catalog.touch`."""
    with store.write() as writer:
        for batch in batches({one[0] for one in stats}):
            changed = writer.connection.scalars(
                select(local_files.c.id).where(
                    local_files.c.id.in_(batch),
                    local_files.c.state.in_(("changed", "missing")),
                )
            ).all()
            writer.files_changed(changed)
            writer.blobs_changed(blobs_of(writer, changed))
        run_many(
            writer,
            "UPDATE local_files SET size = ?, mtime_ns = ?, inode = ?, state = CASE"
            " WHEN state = 'quarantined' THEN state"
            " WHEN blob_id IS NULL THEN 'new' ELSE 'hashed' END WHERE id = ?",
            [
                (size, stored_number(mtime), stored_inode(inode), file_id)
                for file_id, size, mtime, inode in stats
            ],
        )


def blobs_of(writer: Writer, file_ids: Sequence[int]) -> list[int]:
    """The contents of these files."""
    return [
        blob_id
        for blob_id in writer.connection.scalars(
            select(local_files.c.blob_id).where(local_files.c.id.in_(file_ids))
        )
        if blob_id is not None
    ]
