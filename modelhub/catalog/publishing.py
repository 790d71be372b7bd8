"""Recording what Civitai publishes: models, versions, files, previews, trigger words.

A ``None`` never overwrites what is known (see :mod:`modelhub.catalog.records`); lists that are
given replace the lists of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, or_, select, update

from modelhub.catalog.paths import encode_path
from modelhub.catalog.records import (
    ModelRecord,
    PreviewRecord,
    RemoteFileRecord,
    VersionRecord,
)
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import (
    blobs,
    local_files,
    models,
    previews,
    remote_files,
    trigger_words,
    versions,
)
from modelhub.catalog.texts import LARGEST, json_text, stored_size
from modelhub.catalog.upserts import upsert

MOST_TRIGGER_WORDS = 1_000
"""Words of one version that are kept."""
MOST_TAGS = 500
"""Tags of one model that are kept."""
LONGEST_URL = 600
"""Characters of a preview's URL, which is indexed; a longer one is no address of an image."""


def record_published(
    store: Store,
    model: ModelRecord,
    of_versions: Sequence[VersionRecord],
    files: Sequence[RemoteFileRecord],
) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_published`."""
    for number in (model.id, *(v.id for v in of_versions), *(f.id for f in files)):
        if not 0 < number <= LARGEST:
            raise ValueError(f"{number} cannot be an id")
    with store.write() as writer:
        upsert(
            writer, models, ("id",), _model_row(model), overwritten=("mode",), cleared=("gone_at",)
        )
        for version in of_versions:
            upsert(writer, versions, ("id",), _version_row(version), cleared=("gone_at",))
            if version.trained_words is not None:
                _replace_words(writer, version.id, version.trained_words)
            for position, preview in enumerate(version.previews or ()):
                if len(preview.url) > LONGEST_URL:
                    continue
                row = _preview_row(version.id, position, preview)
                upsert(writer, previews, ("version_id", "url"), row)
        for file in files:
            upsert(writer, remote_files, ("version_id", "id"), _remote_file_row(file))
        _changed(writer, model.id)  # of the blobs that are linked no more, too
        _link_known_blobs(writer, {file.version_id for file in files})
        _changed(writer, model.id)


def _model_row(model: ModelRecord) -> dict[str, Any]:
    tags = None if model.tags is None else json_text(model.tags[:MOST_TAGS])
    return {
        "id": model.id,
        "name": model.name,
        "type": model.type,
        "creator": model.creator,
        "nsfw": model.nsfw,
        "mode": model.mode,
        "tags": tags,
        "fetched_at": model.fetched_at,
        "raw": model.raw,
    }


def _version_row(version: VersionRecord) -> dict[str, Any]:
    return {
        "id": version.id,
        "model_id": version.model_id,
        "name": version.name,
        "base_model": version.base_model,
        "base_model_type": version.base_model_type,
        "published_at": version.published_at,
        "air": version.air,
        "availability": version.availability,
        "fetched_at": version.fetched_at,
        "raw": version.raw,
    }


def _remote_file_row(file: RemoteFileRecord) -> dict[str, Any]:
    hashes = ("sha256", "blake3", "crc32", "autov1", "autov2", "autov3")
    return {
        "version_id": file.version_id,
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "format": file.format,
        "variant": file.variant,
        "fp": file.fp,
        "quant_type": file.quant_type,
        "size": stored_size(file.size),
        "is_primary": file.primary,
        **{name: upper(getattr(file, name)) for name in hashes},
        "pickle_scan": file.pickle_scan,
        "virus_scan": file.virus_scan,
        "download_url": file.download_url,
    }


def upper(text: str | None) -> str | None:
    """A hash as it is kept; None for one that is no hex, as it would match nothing."""
    if text is None or not text.isalnum() or not text.isascii() or len(text) > 128:
        return None
    return text.upper()


def _preview_row(version_id: int, position: int, preview: PreviewRecord) -> dict[str, Any]:
    return {
        "version_id": version_id,
        "position": position,
        "civitai_id": stored_size(preview.civitai_id),
        "url": preview.url,
        "kind": preview.kind,
        "width": stored_size(preview.width),
        "height": stored_size(preview.height),
        "nsfw_level": stored_size(preview.nsfw_level),
        "blurhash": preview.blurhash,
        "file": None if preview.file is None else encode_path(preview.file),
        "meta": preview.meta,
    }


def _replace_words(writer: Writer, version_id: int, words: Iterable[str]) -> None:
    writer.connection.execute(delete(trigger_words).where(trigger_words.c.version_id == version_id))
    unique = list(dict.fromkeys(word for word in words if word.strip()))[:MOST_TRIGGER_WORDS]
    if unique:
        writer.connection.execute(
            trigger_words.insert(),
            [
                {"version_id": version_id, "blob_id": None, "position": position, "word": word}
                for position, word in enumerate(unique)
            ],
        )


def _link_known_blobs(writer: Writer, version_ids: set[int]) -> None:
    """Link the published files of some versions to the blobs that they are: by SHA256, or by
    BLAKE3 where no SHA256 was published. A file that was published anew is another blob now."""
    same = or_(
        blobs.c.sha256 == remote_files.c.sha256,
        and_(remote_files.c.sha256.is_(None), blobs.c.blake3 == remote_files.c.blake3),
    )
    writer.connection.execute(
        update(remote_files)
        .where(
            remote_files.c.version_id.in_(version_ids),
            select(blobs.c.id).where(same).exists(),
        )
        .values(blob_id=select(blobs.c.id).where(same).limit(1).scalar_subquery())
    )


_IS_IT = (
    remote_files.c.sha256 == bindparam("sha256_of_it"),
    and_(remote_files.c.sha256.is_(None), remote_files.c.blake3 == bindparam("blake3_of_it")),
)
_NOT_LINKED = remote_files.c.blob_id.is_distinct_from(bindparam("the_blob"))
_FIND = [select(remote_files.c.blob_id).where(same, _NOT_LINKED) for same in _IS_IT]
_LINK = [
    update(remote_files).where(same, _NOT_LINKED).values(blob_id=bindparam("the_blob"))
    for same in _IS_IT
]


def link_publications(writer: Writer, blob_id: int, sha256: str, blake3: str | None) -> None:
    """Link the published files that have these hashes to a blob."""
    execute = writer.connection.execute
    for find, link, name, value in zip(
        _FIND, _LINK, ("sha256_of_it", "blake3_of_it"), (sha256, blake3), strict=True
    ):
        known = {"the_blob": blob_id, name: value}
        linked_before = execute(find, known).scalars().all() if value else ()
        if linked_before:
            writer.blobs_changed(one for one in linked_before if one is not None)
            execute(link, known)


def _changed(writer: Writer, model_id: int) -> None:
    """Have the listings of all files of the model's versions made anew."""
    of_model = select(versions.c.id).where(versions.c.model_id == model_id)
    writer.blobs_changed(
        writer.connection.scalars(
            select(remote_files.c.blob_id).where(
                remote_files.c.version_id.in_(of_model), remote_files.c.blob_id.is_not(None)
            )
        )
    )
    writer.files_changed(
        writer.connection.scalars(
            select(local_files.c.id).where(local_files.c.version_id.in_(of_model))
        )
    )


def record_gone(store: Store, now: datetime, model_id: int | None, version_id: int | None) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_gone`."""
    with store.write() as writer:
        for table, number in ((models, model_id), (versions, version_id)):
            if number is not None:
                writer.connection.execute(
                    update(table)
                    .where(table.c.id == number, table.c.gone_at.is_(None))
                    .values(gone_at=now)
                )


def raw_answer(
    store: Store, model_id: int | None, version_id: int | None
) -> tuple[str, datetime] | None:
    """See :meth:`modelhub.catalog.Catalog.raw_answer`."""
    table, number = (models, model_id) if version_id is None else (versions, version_id)
    with store.read() as connection:
        row = connection.execute(
            select(table.c.raw, table.c.fetched_at).where(table.c.id == number)
        ).first()
    return (row.raw, row.fetched_at) if row is not None and row.raw is not None else None


def known_versions(store: Store, model_id: int) -> list[int]:
    """See :meth:`modelhub.catalog.Catalog.known_versions`."""
    with store.read() as connection:
        return list(
            connection.scalars(
                select(versions.c.id)
                .where(versions.c.model_id == model_id)
                .order_by(versions.c.id.desc())
            )
        )
