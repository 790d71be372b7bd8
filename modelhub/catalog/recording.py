"""Recording what is on this disk: roots, files, contents, test images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, update

from modelhub.catalog.paths import encode_path
from modelhub.catalog.places import put_root
from modelhub.catalog.publishing import link_publications, upper
from modelhub.catalog.records import BlobRecord, LocalFileRecord
from modelhub.catalog.rows import FileState
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import (
    blob_headers,
    blobs,
    findings,
    local_files,
    remote_files,
    versions,
)
from modelhub.catalog.texts import json_text, stored_inode, stored_number, stored_size
from modelhub.catalog.upserts import upsert
from modelhub.catalog.verdicts import put_scan
from modelhub.errors import NameTaken, UnknownFile

_SHA256 = re.compile("[0-9A-Fa-f]{64}")


def record_local_file(
    store: Store,
    now: datetime,
    file: LocalFileRecord,
    blob: BlobRecord | None,
    remote_file_id: int | None,
    version_id: int | None,
) -> int:
    """See :meth:`modelhub.catalog.Catalog.record_local_file`."""
    with store.write() as writer:
        root_id = put_root(writer, now, file.root, None, watched=None)
        path = relative_path(file.path)
        before = _known(writer, root_id, path)
        blob_id = put_blob(writer, now, blob) if blob else before.blob_id if before else None
        if remote_file_id is not None:
            version_id = _link(writer, remote_file_id, version_id, blob_id)
        elif version_id is not None:
            _require_version(writer, version_id)
        row = {
            "root_id": root_id,
            "path": path,
            "size": file.size,
            "mtime_ns": stored_number(file.mtime_ns),
            "inode": stored_inode(file.inode),
            "blob_id": blob_id,
            "state": (file.state or _state(file, blob, before)).value,
            "version_id": version_id,
            "added_at": now,
        }
        file_id = _put_file(writer, row)
        if blob is not None:
            writer.connection.execute(delete(findings).where(findings.c.file_id == file_id))
        writer.files_changed([file_id])
        old_blob_id = before.blob_id if before else None
        writer.blobs_changed({one for one in (blob_id, old_blob_id) if one is not None})
        return file_id


def relative_path(path: Path) -> str:
    """`path` below its root, in the catalog's spelling.

    :raises ValueError: it is absolute, or leads out of the root.
    """
    text = os.path.normpath(path)
    if path.is_absolute() or text in (".", "..") or text.startswith("../"):
        raise ValueError(f"not a path below a root: {text!r}")
    return encode_path(Path(text))


_KNOWN = select(local_files).where(
    local_files.c.root_id == bindparam("the_root"), local_files.c.path == bindparam("the_path")
)


def _known(writer: Writer, root_id: int, path: str) -> Row[*tuple[Any, ...]] | None:
    return writer.connection.execute(_KNOWN, {"the_root": root_id, "the_path": path}).first()


def _state(
    file: LocalFileRecord, blob: BlobRecord | None, before: Row[*tuple[Any, ...]] | None
) -> FileState:
    """What a file is that was seen, and hashed if there is a `blob`."""
    if blob is not None:
        return FileState.HASHED
    if before is None or before.blob_id is None:
        return FileState.NEW
    if (before.size, before.mtime_ns) != (file.size, stored_number(file.mtime_ns)):
        return FileState.CHANGED
    known = FileState(before.state)
    return FileState.HASHED if known is FileState.MISSING else known


def _put_file(writer: Writer, row: dict[str, Any]) -> int:
    return int(
        upsert(
            writer,
            local_files,
            ("root_id", "path"),
            row,
            fixed=("added_at",),
            overwritten=("blob_id",),
            returning=("id",),
        ).scalar_one()
    )


def _link(writer: Writer, remote_file_id: int, version_id: int | None, blob_id: int | None) -> int:
    """Link a published file to its content; the version that it is of."""
    which = remote_files.c.id == remote_file_id
    if version_id is not None:
        which &= remote_files.c.version_id == version_id
    found: int | None = writer.connection.scalar(
        select(func.min(remote_files.c.version_id)).where(which)
    )
    if found is None:
        raise ValueError(f"the published file {remote_file_id} is not recorded")
    if blob_id is not None:
        writer.connection.execute(
            update(remote_files).where(remote_files.c.id == remote_file_id).values(blob_id=blob_id)
        )
    return found


def _require_version(writer: Writer, version_id: int) -> None:
    if not writer.connection.scalar(select(versions.c.id).where(versions.c.id == version_id)):
        raise ValueError(f"the version {version_id} is not recorded")


def put_blob(writer: Writer, now: datetime, blob: BlobRecord) -> int:
    """Insert or complete a content; its number.

    :raises ValueError: its SHA256 is none.
    """
    row = _row_of(blob)
    known = upsert(
        writer,
        blobs,
        ("sha256",),
        {**row, "added_at": now},
        fixed=("added_at",),
        returning=("id", "sha256", "blake3"),
    ).one()
    if blob.header is not None:
        upsert(writer, blob_headers, ("blob_id",), {"blob_id": known.id, "header": blob.header})
    put_scan(writer, known.id, blob.pickle_verdict, blob.scanner, blob.scan)
    link_publications(writer, known.id, known.sha256, known.blake3)
    return int(known.id)


def says_nothing_new(writer: Writer, blob: BlobRecord) -> bool:
    """Whether the catalog knows the content, and all that is told of it here."""
    told = {name: value for name, value in _row_of(blob).items() if value is not None}
    known = writer.connection.execute(
        select(*(blobs.c[name] for name in told)).where(blobs.c.sha256 == told["sha256"])
    ).first()
    return known is not None and known._asdict() == told


def _row_of(blob: BlobRecord) -> dict[str, Any]:
    if not _SHA256.fullmatch(blob.sha256):
        raise ValueError(f"not a SHA256: {blob.sha256!r}")
    return {
        "sha256": blob.sha256.upper(),
        **{name: upper(getattr(blob, name)) for name in ("blake3", "crc32", "autov1", "autov3")},
        "size": blob.size,
        "format": blob.format,
        "kind": blob.kind,
        "architecture": blob.architecture,
        "precision": blob.precision,
        "parameters": stored_size(blob.parameters),
        "ema": blob.ema,
        "vae": blob.vae,
        "pickle_verdict": blob.pickle_verdict,
        "adapter": blob.adapter,
        "edition": blob.edition,
        "variants": json_text(blob.variants) if blob.variants else None,
        "family": blob.family,
        "pruned": blob.pruned,
        "known_vae": blob.known_vae,
        "guessed": blob.guessed if blob.kind is not None else None,
        "trained_words": json_text(blob.trigger_words) if blob.trigger_words else None,
    }


def record_blob(store: Store, now: datetime, blob: BlobRecord) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_blob`."""
    with store.write() as writer:
        writer.blobs_changed([put_blob(writer, now, blob)])


def set_state(store: Store, now: datetime, file_ids: Sequence[int], state: FileState) -> None:
    """See :meth:`modelhub.catalog.Catalog.set_state`."""
    from modelhub.catalog.batching import batches

    with store.write() as writer:
        for batch in batches(file_ids):
            which = local_files.c.id.in_(batch)
            if state is FileState.MISSING:
                newly = which & (local_files.c.state != state.value)
                writer.connection.execute(update(local_files).where(newly).values(missing_at=now))
            writer.connection.execute(update(local_files).where(which).values(state=state.value))
            writer.files_changed(batch)
            _blobs_of(writer, batch)


def _blobs_of(writer: Writer, file_ids: Sequence[int]) -> None:
    writer.blobs_changed(
        writer.connection.scalars(
            select(local_files.c.blob_id).where(
                local_files.c.id.in_(file_ids), local_files.c.blob_id.is_not(None)
            )
        )
    )


def record_moved(store: Store, now: datetime, file_id: int, root: Path, path: Path) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_moved`."""
    with store.write() as writer:
        root_id = put_root(writer, now, root, None, watched=None)
        relative = relative_path(path)
        there = _known(writer, root_id, relative)
        if there is not None and there.id != file_id:
            if there.state != FileState.MISSING.value:
                raise NameTaken(f"the catalog knows another file at {root / path}")
            delete_files(writer, [there.id])
        moved = writer.connection.execute(
            update(local_files)
            .where(local_files.c.id == file_id)
            .values(root_id=root_id, path=relative)
        )
        if not moved.rowcount:
            raise UnknownFile(f"the catalog knows no file #{file_id}")
        writer.files_changed([file_id])


def forget(store: Store, file_ids: Sequence[int]) -> None:
    """See :meth:`modelhub.catalog.Catalog.forget`."""
    from modelhub.catalog.batching import batches

    with store.write() as writer:
        for batch in batches(file_ids):
            delete_files(writer, batch)


def delete_files(writer: Writer, file_ids: Sequence[int]) -> None:
    """Drop files; parts of them become files of their own."""
    if not file_ids:
        return
    _blobs_of(writer, file_ids)
    writer.files_changed(
        writer.connection.scalars(
            select(local_files.c.id).where(local_files.c.part_of.in_(file_ids))
        )
    )
    writer.files_changed(
        writer.connection.scalars(
            select(local_files.c.part_of).where(
                local_files.c.id.in_(file_ids), local_files.c.part_of.is_not(None)
            )
        )
    )
    writer.connection.execute(delete(local_files).where(local_files.c.id.in_(file_ids)))
