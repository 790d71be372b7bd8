"""`STEM.metadata.json`: ComfyUI LoRA Manager's.

Source: `py/utils/models.py` (`BaseModelMetadata.from_dict` fails without `file_name, model_name,
file_path, size, modified, sha256, base_model, preview_url`, and the model is then skipped),
`py/utils/metadata_manager.py` and `docs/metadata-json-schema.md` (which fields a user edits) of
willmiao/ComfyUI-Lora-Manager. `modified` is when the model was imported and never changes;
`sha256` and `autov3` are lower-case; paths have forward slashes.
"""

from __future__ import annotations

from modelhub.placement.kinds import Kind
from modelhub.placement.sidecars import civitai_info
from modelhub.placement.sidecars.contract import (
    Json,
    SidecarFacts,
    child,
    described_version,
    text,
    texts,
)

SUFFIX = ".metadata.json"

_NO_AUTOV3 = "e3b0c44298fc"
"""The AutoV3 of nothing, which some tools write; the manager refuses it."""
_FILE_FACTS = ("file_name", "file_path", "sha256")
_CIVITAI_FACTS = ("from_civitai", "metadata_source", "last_checked_at")
_DEFAULTS = {"base_model": "Unknown", "usage_tips": "{}", "preview_nsfw_level": 0}


def build(facts: SidecarFacts) -> Json:
    """All fields of the kind of model, the user's ones at their defaults."""
    civitai = civitai_info.build(facts)
    stem = facts.path.stem
    preview = facts.preview.as_posix() if facts.preview else ""
    sidecar: Json = {
        "file_name": stem,
        "model_name": text(child(civitai, "model").get("name")) or stem,
        "file_path": facts.path.as_posix(),
        "size": facts.size,
        "modified": facts.imported_at.timestamp(),
        "sha256": facts.sha256.lower(),
        "base_model": text(facts.version.get("baseModel")) or "Unknown",
        "preview_url": preview,
        "preview_nsfw_level": facts.preview_nsfw_level if preview else 0,
        "notes": "",
        "from_civitai": True,
        "civitai": civitai,
        "tags": texts(facts.model.get("tags")) or texts(child(civitai, "model").get("tags")),
        "modelDescription": text(facts.model.get("description")),
        "civitai_deleted": False,
        "favorite": False,
        "exclude": False,
        "db_checked": False,
        "skip_metadata_refresh": False,
        "metadata_source": "civitai_api",
        "last_checked_at": facts.imported_at.timestamp(),
        "hash_status": "completed",
        "trainedWords": texts(facts.version.get("trainedWords")),
    }
    autov3 = text(child(facts.file, "hashes").get("AutoV3"))[:12].lower()
    if len(autov3) == 12 and autov3 != _NO_AUTOV3:
        sidecar["autov3"] = autov3
    return sidecar | _of_kind(facts.kind)


def merge(existing: Json, fresh: Json) -> Json:
    """Where the file is and what Civitai says of it, renewed; what the user may edit, kept.

    A field that still has its default is filled. Trigger words and example images that the user
    added within `civitai` stay.

    :raises AnotherModels: the sidecar is another version's.
    """
    old, new = child(existing, "civitai"), child(fresh, "civitai")
    described_version(dict(old), "id", dict(new))
    merged = fresh | {key: value for key, value in existing.items() if not _unset(existing, key)}
    merged |= {key: fresh[key] for key in (*_FILE_FACTS, *_CIVITAI_FACTS)}
    civitai = civitai_info.merge(dict(old), dict(new))
    for key in ("trainedWords", "customImages"):
        if old.get(key):
            civitai[key] = old[key]
    merged["civitai"] = civitai
    return merged


def _of_kind(kind: Kind) -> Json:
    if kind is Kind.LORA:
        return {"usage_tips": "{}"}
    if kind is Kind.EMBEDDING:
        return {"sub_type": "embedding"}
    if kind is Kind.DIFFUSION_MODEL:
        return {"sub_type": "diffusion_model"}
    return {"sub_type": "checkpoint"} if kind is Kind.CHECKPOINT else {}


def _unset(sidecar: Json, key: str) -> bool:
    """Whether the field holds what the manager writes for a file that it knows nothing about."""
    value = sidecar[key]
    if key == "model_name":
        return bool(value == sidecar.get("file_name"))
    return value in ("", None, [], {}) or (key in _DEFAULTS and value == _DEFAULTS[key])
