"""Civitai's answers in the catalog's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelhub.catalog import ModelRecord, PreviewRecord, RemoteFileRecord, VersionRecord
from modelhub.civitai.schema import Image, ModelFile, Version, moment

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.civitai.answers import Answer
    from modelhub.civitai.schema import Model

UNKNOWN_TYPE = "Other"
"""Civitai's own word for what has no type."""


def model_record(model: Answer[Model] | None, version: Answer[Version]) -> ModelRecord | None:
    """The model, from its own answer or else from what its version says; None without an id."""
    now = datetime.now(UTC)
    if model is not None:
        value = model.value
        return ModelRecord(
            id=value.id,
            name=value.name,
            type=value.type or UNKNOWN_TYPE,
            fetched_at=now,
            creator=value.creator.username,
            nsfw=value.nsfw,
            mode=value.mode,
            tags=tuple(value.tags),
            raw=model.raw,
        )
    brief = version.value.model
    if version.value.model_id is None:
        return None
    return ModelRecord(
        id=version.value.model_id,
        name=brief.name if brief else "",
        type=(brief.type if brief else None) or UNKNOWN_TYPE,
        fetched_at=now,
        nsfw=brief.nsfw if brief else None,
        mode=brief.mode if brief else None,
    )


def version_record(
    version: Answer[Version], model_id: int, *, preview: Path | None = None, source: str = ""
) -> VersionRecord:
    """The version; `preview` is the copy on this disk of the image whose URL is `source`."""
    value = version.value
    return VersionRecord(
        id=value.id,
        model_id=model_id,
        name=value.name,
        fetched_at=datetime.now(UTC),
        base_model=value.base_model,
        base_model_type=value.base_model_type,
        published_at=moment(value.published_at),
        air=value.air,
        availability=value.availability,
        trained_words=tuple(value.trained_words),
        previews=tuple(
            _preview_record(image, preview if image.url == source else None)
            for image in value.images
            if image.url
        ),
        raw=version.raw,
    )


def file_records(version: Version) -> list[RemoteFileRecord]:
    """All published files of the version."""
    return [_file_record(file, version.id) for file in version.files]


def _file_record(file: ModelFile, version_id: int) -> RemoteFileRecord:
    hashes = file.hashes
    return RemoteFileRecord(
        id=file.id,
        version_id=version_id,
        name=file.name,
        type=file.type,
        format=file.metadata.format,
        variant=file.metadata.size,
        fp=file.metadata.fp,
        quant_type=file.metadata.quant_type,
        size=file.size_bytes,
        primary=file.primary,
        sha256=hashes.sha256,
        blake3=hashes.blake3,
        crc32=hashes.crc32,
        autov1=hashes.autov1,
        autov2=hashes.autov2,
        autov3=hashes.autov3,
        pickle_scan=file.pickle_scan_result,
        virus_scan=file.virus_scan_result,
        download_url=file.download_url,
    )


def _preview_record(image: Image, copy: Path | None) -> PreviewRecord:
    return PreviewRecord(
        url=image.url or "",
        civitai_id=image.id,
        kind="video" if image.is_video else "image",
        width=image.width,
        height=image.height,
        nsfw_level=image.level,
        blurhash=image.hash,
        meta=json.dumps(image.meta, ensure_ascii=False) if image.meta is not None else None,
        file=copy,
    )
