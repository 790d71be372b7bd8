"""Roots, and files that moved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, update

from modelhub.catalog.batching import BATCH, batches
from modelhub.catalog.paths import encode_path
from modelhub.catalog.rows import FileState
from modelhub.catalog.scanrows import Move
from modelhub.catalog.showing import RootRow
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import local_files
from modelhub.catalog.tables import roots as roots_table
from modelhub.catalog.texts import stored_number
from modelhub.catalog.upserts import upsert
from modelhub.errors import UnknownFile

_ROOT = select(roots_table.c.id, roots_table.c.layout, roots_table.c.watched).where(
    roots_table.c.path == bindparam("the_path")
)
_UNDER_WAY = "//"
"""Starts no path: where a file is while others move out of its way."""


def put_root(
    writer: Writer, now: datetime, folder: Path, layout: str | None, *, watched: bool | None
) -> int:
    """Insert a root, or update what is given of it; its number."""
    path = path_of_root(folder)
    known = writer.connection.execute(_ROOT, {"the_path": path}).first()
    if known and layout in (None, known.layout) and watched in (None, known.watched):
        return int(known.id)
    row = {"path": path, "layout": layout, "watched": bool(watched), "added_at": now}
    fixed = ("added_at",) if watched is not None else ("added_at", "watched")
    returned = upsert(writer, roots_table, ("path",), row, fixed=fixed, returning=("id",))
    return int(returned.scalar_one())


def path_of_root(folder: Path) -> str:
    """A root's path as the catalog spells it: absolute, without ``..``."""
    return encode_path(Path(os.path.normpath(folder.absolute())))


def add_root(store: Store, now: datetime, folder: Path, layout: str | None, watched: bool) -> int:
    """See :meth:`modelhub.catalog.Catalog.add_root`."""
    with store.write() as writer:
        return put_root(writer, now, folder, layout, watched=watched)


def roots(store: Store) -> list[RootRow]:
    """See :meth:`modelhub.catalog.Catalog.roots`."""
    with store.read() as connection:
        rows = connection.execute(select(roots_table).order_by(roots_table.c.path))
        return [_root_row(row) for row in rows]


def root(store: Store, folder: Path) -> RootRow | None:
    """See :meth:`modelhub.catalog.Catalog.root`."""
    statement = select(roots_table).where(roots_table.c.path == path_of_root(folder))
    with store.read() as connection:
        row = connection.execute(statement).first()
    return _root_row(row) if row is not None else None


def _root_row(row: Row[*tuple[Any, ...]]) -> RootRow:
    return RootRow(**row._mapping)


def record_scan(
    store: Store,
    now: datetime,
    root_id: int,
    device: int | None,
    marker: str | None,
    seen_files: int | None,
    identified_by: int | None,
    verdicts_by: int | None,
) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_scan`."""
    values: dict[str, Any] = {"scanned_at": now, "device": device, "marker": marker}
    if device is not None:
        values["device"] = stored_number(device)
    values["seen_files"] = seen_files
    if identified_by is not None:
        values["identified_by"] = identified_by
    if verdicts_by is not None:
        values["verdicts_by"] = verdicts_by
    with store.write() as writer:
        writer.connection.execute(
            update(roots_table).where(roots_table.c.id == root_id).values(**values)
        )


def count_files(store: Store, root_id: int) -> int:
    """See :meth:`modelhub.catalog.Catalog.count_files`."""
    statement = select(func.count()).where(
        local_files.c.root_id == root_id, local_files.c.state != FileState.MISSING.value
    )
    with store.read() as connection:
        return connection.scalar(statement) or 0


def remove_root(store: Store, root_id: int, *, forget: bool) -> int:
    """See :meth:`modelhub.catalog.Catalog.remove_root`."""
    from modelhub.catalog.recording import delete_files

    which = roots_table.c.id == root_id
    with store.write() as writer:
        if not forget:
            writer.connection.execute(update(roots_table).where(which).values(watched=False))
            return 0
        some = select(local_files.c.id).where(local_files.c.root_id == root_id).limit(BATCH)
        number = 0
        while ids := writer.connection.scalars(some).all():
            delete_files(writer, ids)
            number += len(ids)
        writer.connection.execute(delete(roots_table).where(which))
        return number


def record_moved(store: Store, moves: Sequence[Move]) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_moved_many`."""
    moving = {move.file_id: move for move in moves}
    with store.write() as writer:
        _make_way(writer, moving)
        _place(writer, [(move, f"{_UNDER_WAY}{move.file_id}") for move in moving.values()])
        _place(writer, [(move, move.path) for move in moving.values()])
        for batch in batches(moving):
            away = local_files.c.state.in_((FileState.MISSING.value, FileState.QUARANTINED.value))
            back = local_files.c.id.in_(batch) & away
            contents = writer.connection.scalars(
                select(local_files.c.blob_id).where(back, local_files.c.blob_id.is_not(None))
            ).all()
            hashed = local_files.c.blob_id.is_not(None)
            for which, state in ((hashed, FileState.HASHED), (~hashed, FileState.NEW)):
                writer.connection.execute(
                    update(local_files).where(back, which).values(state=state.value)
                )
            writer.blobs_changed(contents)
        writer.files_changed(moving)


def _place(writer: Writer, places: Iterable[tuple[Move, str]]) -> None:
    """Write down where the files are."""
    statement = (
        update(local_files)
        .where(local_files.c.id == bindparam("the_id"))
        .values(root_id=bindparam("the_root"), path=bindparam("the_path"))
    )
    rows = [
        {"the_id": move.file_id, "the_root": move.root_id, "the_path": path}
        for move, path in places
    ]
    if rows and writer.connection.execute(statement, rows).rowcount == 0:
        raise UnknownFile(f"the catalog knows no file #{rows[0]['the_id']}")


def _make_way(writer: Writer, moving: dict[int, Move]) -> None:
    """Forget the files that are recorded where others are now, and do not move themselves."""
    from modelhub.catalog.recording import delete_files

    by_root: dict[int, list[str]] = {}
    for move in moving.values():
        by_root.setdefault(move.root_id, []).append(move.path)
    for root_id, paths in by_root.items():
        for batch in batches(paths):
            there = writer.connection.scalars(
                select(local_files.c.id).where(
                    local_files.c.root_id == root_id, local_files.c.path.in_(batch)
                )
            ).all()
            delete_files(writer, [one for one in there if one not in moving])
