"""What local files were published as, asked for many files at once; and copies of previews that
were moved along with their model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update

from modelhub.catalog.batching import batches
from modelhub.catalog.keeprows import PublishedAs
from modelhub.catalog.paths import encode_path
from modelhub.catalog.rows import FileState
from modelhub.catalog.store import Store
from modelhub.catalog.tables import local_files, models, previews, remote_files, versions

_FACTS = (
    local_files.c.id,
    models.c.id.label("model_id"),
    models.c.name.label("model_name"),
    models.c.type.label("model_type"),
    models.c.creator,
    models.c.mode.label("model_mode"),
    models.c.gone_at.label("model_gone_at"),
    versions.c.id.label("version_id"),
    versions.c.name.label("version_name"),
    versions.c.base_model,
    versions.c.published_at,
    versions.c.gone_at.label("version_gone_at"),
)
_BY_CONTENT = (
    select(
        *_FACTS,
        remote_files.c.id.label("file_id"),
        remote_files.c.name.label("file_name"),
        remote_files.c.type.label("file_type"),
        remote_files.c.size,
        remote_files.c.format,
        remote_files.c.variant,
        remote_files.c.fp,
        remote_files.c.quant_type,
    )
    .select_from(local_files)
    .join(remote_files, remote_files.c.blob_id == local_files.c.blob_id)
    .join(versions, versions.c.id == remote_files.c.version_id)
    .join(models, models.c.id == versions.c.model_id)
)
_BY_PULL = (
    select(*_FACTS)
    .select_from(local_files)
    .join(versions, versions.c.id == local_files.c.version_id)
    .join(models, models.c.id == versions.c.model_id)
)


def published_as(store: Store, file_ids: Sequence[int]) -> dict[int, tuple[PublishedAs, ...]]:
    """See :meth:`modelhub.catalog.Catalog.published_as`."""
    found: dict[int, dict[tuple[int, int | None], PublishedAs]] = {}
    with store.read() as connection:
        for batch in batches(set(file_ids)):
            which = local_files.c.id.in_(batch)
            pulled = {}
            for row in connection.execute(_BY_PULL.where(which)):
                pulled[row.id] = _published(row)
            order = (versions.c.id, remote_files.c.id)
            for row in connection.execute(_BY_CONTENT.where(which).order_by(*order)):
                one = _published(row)
                found.setdefault(row.id, {})[one.version_id, one.file_id] = one
            for number, one in pulled.items():
                known = found.setdefault(number, {})
                same = [two for two in known.values() if two.version_id == one.version_id]
                # The version that it was pulled from is the one to name.
                first = same or [one]
                found[number] = {(two.version_id, two.file_id): two for two in first} | known
    return {number: tuple(known.values()) for number, known in found.items()}


def _published(row: Row[*tuple[Any, ...]]) -> PublishedAs:
    return PublishedAs(**{key: value for key, value in row._mapping.items() if key != "id"})


def missing_since(store: Store, file_ids: Sequence[int]) -> dict[int, datetime]:
    """See :meth:`modelhub.catalog.Catalog.missing_since`."""
    found: dict[int, datetime] = {}
    with store.read() as connection:
        for batch in batches(set(file_ids)):
            rows = connection.execute(
                select(local_files.c.id, local_files.c.missing_at).where(
                    local_files.c.id.in_(batch),
                    local_files.c.state == FileState.MISSING.value,
                    local_files.c.missing_at.is_not(None),
                )
            )
            found |= {row.id: row.missing_at for row in rows}
    return found


def move_previews(store: Store, version_id: int, moved: Mapping[Path, Path]) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_previews_moved`."""
    with store.write() as writer:
        for source, target in moved.items():
            writer.connection.execute(
                update(previews)
                .where(previews.c.version_id == version_id, previews.c.file == encode_path(source))
                .values(file=encode_path(target))
            )
