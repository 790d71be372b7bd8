"""`STEM.cm-info.json`: Stability Matrix's.

Source: `StabilityMatrix.Core/Models/ConnectedModelInfo.cs` of LykosAI/StabilityMatrix, and the
types of its fields in `Models/Api/Civit{FileMetadata,FileHashes,ModelStats,ModelType}.cs`. It is
read with System.Text.Json's defaults, which throw on any value of the wrong type and lose the
whole sidecar: so every value is checked here, numbers fit into 32 bits, and a null is left out.
`Source` is left out as well: its enum is read as a number, and Civitai is its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.placement.sidecars.contract import (
    Json,
    SidecarFacts,
    child,
    described_version,
    number,
    text,
    texts,
)

SUFFIX = ".cm-info.json"

_INT32 = 1 << 31
_COUNTS = ("favoriteCount", "commentCount", "thumbsUpCount", "downloadCount", "ratingCount")
_KEPT = ("ImportedAt", "UserTitle", "ThumbnailImageUrl", "InferenceDefaults")


def build(facts: SidecarFacts) -> Json:
    """What Stability Matrix writes after a download of its own."""
    version, file = facts.version, facts.file
    model = dict(child(version, "model")) | dict(facts.model)
    sidecar: Json = {
        "ModelId": _int32(model.get("id")) or _int32(version.get("modelId")),
        "ModelName": text(model.get("name")),
        "ModelDescription": text(model.get("description")),
        "Nsfw": model.get("nsfw") is True,
        "Tags": texts(model.get("tags")),
        "ModelType": facts.model_type or "Unknown",
        "VersionId": _int32(version.get("id")),
        "VersionName": text(version.get("name")),
        "VersionDescription": text(version.get("description")) or None,
        "AuthorUsername": text(child(model, "creator").get("username")) or None,
        "BaseModel": text(version.get("baseModel")) or None,
        "RemoteFileName": text(file.get("name")) or None,
        "RemoteFileId": _int32(file.get("id")),
        "FileMetadata": _texts_of(child(file, "metadata"), ("fp", "size", "format")),
        "ImportedAt": facts.imported_at.isoformat(),
        "Hashes": {"SHA256": facts.sha256.upper()}
        | _texts_of(child(file, "hashes"), ("CRC32", "BLAKE3")),
        "TrainedWords": texts(version.get("trainedWords")),
        "Stats": _stats(child(model, "stats") or child(version, "stats")),
        "ThumbnailImageUrl": facts.preview_source,
    }
    return {key: value for key, value in sidecar.items() if value is not None}


def merge(existing: Json, fresh: Json) -> Json:
    """Civitai's fields renewed; the user's title, picture and defaults kept, and the first import.

    :raises AnotherModels: the sidecar is another version's.
    """
    described_version(existing, "VersionId", fresh)
    kept = {key: existing[key] for key in _KEPT if existing.get(key) is not None}
    return existing | fresh | kept


def _int32(value: object) -> int | None:
    whole = number(value)
    return whole if whole is not None and -_INT32 <= whole < _INT32 else None


def _texts_of(parent: Mapping[str, Any], keys: tuple[str, ...]) -> Json:
    return {key: parent[key] for key in keys if isinstance(parent.get(key), str)}


def _stats(stats: Mapping[str, Any]) -> Json | None:
    counts: Json = {key: count for key in _COUNTS if (count := _int32(stats.get(key))) is not None}
    rating = stats.get("rating")
    if isinstance(rating, int | float) and not isinstance(rating, bool):
        counts["rating"] = rating
    return counts or None
