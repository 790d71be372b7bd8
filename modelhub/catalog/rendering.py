"""Test images: which model, made how, and where the picture is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from modelhub.catalog.batching import batches
from modelhub.catalog.paths import encode_path
from modelhub.catalog.records import RenderRecord
from modelhub.catalog.showing import RenderRow
from modelhub.catalog.store import Store
from modelhub.catalog.tables import blobs, local_files, renders
from modelhub.catalog.texts import LARGEST, decoded, json_text
from modelhub.errors import UnknownFile

MOST_RENDERS = 100
"""That are shown with a file."""


def record_render(store: Store, now: datetime, render: RenderRecord) -> int:
    """See :meth:`modelhub.catalog.Catalog.record_render`."""
    at = render.created_at or now
    tested, others = render.sha256.upper(), [one.upper() for one in render.also_used]
    with store.write() as writer:
        connection = writer.connection
        known = {
            row.sha256: row.id
            for row in connection.execute(
                select(blobs.c.sha256, blobs.c.id).where(blobs.c.sha256.in_([tested, *others]))
            )
        }
        if tested not in known:
            raise UnknownFile(f"the catalog knows no content {render.sha256}")
        row = {
            "blob_id": known[tested],
            "created_at": at,
            "file": encode_path(render.file),
            "prompt": render.prompt,
            "negative_prompt": render.negative_prompt,
            "seed": None if render.seed is None else str(render.seed),
            "parameters": json_text(render.parameters),
        }
        statement = writer.insert(renders).values(row).returning(renders.c.id)
        render_id = int(connection.execute(statement).scalar_one())
        used = list(known.values())
        connection.execute(update(blobs).where(blobs.c.id.in_(used)).values(used_at=at))
        writer.blobs_changed(used)
        return render_id


def list_renders(
    store: Store, file_ids: Sequence[int] | None, limit: int, before: int | None
) -> list[RenderRow]:
    """See :meth:`modelhub.catalog.Catalog.renders`."""
    statement = _RENDERS if before is None else _RENDERS.where(renders.c.id < before)
    with store.read() as connection:
        if file_ids is None:
            return [_row(one) for one in connection.execute(statement.limit(limit))]
        found: dict[int, RenderRow] = {}
        for batch in batches(file_ids):
            of_files = select(local_files.c.blob_id).where(local_files.c.id.in_(batch))
            wanted = statement.where(renders.c.blob_id.in_(of_files)).limit(limit)
            found.update((one.id, _row(one)) for one in connection.execute(wanted))
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def render(store: Store, render_id: int) -> RenderRow | None:
    """See :meth:`modelhub.catalog.Catalog.render`."""
    if not 0 < render_id <= LARGEST:
        return None
    with store.read() as connection:
        row = connection.execute(_RENDERS.where(renders.c.id == render_id)).first()
    return None if row is None else _row(row)


def forget_render(store: Store, render_id: int) -> bool:
    """See :meth:`modelhub.catalog.Catalog.forget_render`."""
    with store.write() as writer:
        gone = writer.connection.execute(delete(renders).where(renders.c.id == render_id))
        return bool(gone.rowcount)


def renders_of(connection: Connection, blob_id: int | None) -> tuple[RenderRow, ...]:
    """The latest test images of a content."""
    statement = _RENDERS.where(renders.c.blob_id == blob_id).limit(MOST_RENDERS)
    return tuple(_row(one) for one in connection.execute(statement))


_RENDERS = (
    select(*renders.columns, blobs.c.sha256)
    .join(blobs, blobs.c.id == renders.c.blob_id)
    .order_by(renders.c.id.desc())
)


def _row(row: Row[*tuple[Any, ...]]) -> RenderRow:
    return RenderRow(
        id=row.id,
        created_at=row.created_at,
        file=row.file,
        prompt=row.prompt,
        negative_prompt=row.negative_prompt,
        seed=None if row.seed is None else int(row.seed),
        parameters=decoded(row.parameters),
        sha256=row.sha256,
    )
