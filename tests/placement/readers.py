"""How the tools read the sidecars, written anew from what their sources do.

Each reader fails where the tool would lose the model's data, and gives what the tool then knows.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

LORA_MANAGER_FIELDS: dict[str, type | tuple[type, ...]] = {
    "file_name": str,
    "model_name": str,
    "file_path": str,
    "size": int,
    "modified": (int, float),
    "sha256": str,
    "base_model": str,
    "preview_url": str,
}
"""`BaseModelMetadata`'s fields without a default: without one of them the model is skipped."""

_INT, _BOOL, _TEXT, _TEXTS = "int", "bool", "text", "texts"
_CM_INFO: dict[str, Any] = {
    "ModelId": _INT,
    "ModelName": _TEXT,
    "ModelDescription": _TEXT,
    "Nsfw": _BOOL,
    "Tags": _TEXTS,
    "ModelType": _TEXT,
    "VersionId": _INT,
    "VersionName": _TEXT,
    "VersionDescription": _TEXT,
    "AuthorUsername": _TEXT,
    "BaseModel": _TEXT,
    "RemoteFileName": _TEXT,
    "RemoteFileId": _INT,
    "FileMetadata": {"fp": _TEXT, "size": _TEXT, "format": _TEXT},
    "ImportedAt": "time",
    "Hashes": {"SHA256": _TEXT, "CRC32": _TEXT, "BLAKE3": _TEXT},
    "TrainedWords": _TEXTS,
    "Stats": {
        "favoriteCount": _INT,
        "commentCount": _INT,
        "thumbsUpCount": _INT,
        "downloadCount": _INT,
        "ratingCount": _INT,
        "rating": "double",
    },
    "UserTitle": _TEXT,
    "ThumbnailImageUrl": _TEXT,
    "Source": _INT,
}
_NOT_NULLABLE = (_INT, _BOOL, "time", "double")


def read_civitai_helper(model_file: Path) -> dict[str, Any]:
    """`load_model_info`, then what the listing of new versions and the previews take from it."""
    info = json.loads(model_file.with_suffix(".civitai.info").read_text())
    return {
        "version": int(info["id"]),
        "model": int(info["modelId"]),
        "name": info["model"]["name"],
        "words": list(info.get("trainedWords", [])),
        "files": [file["name"] for file in info["files"]],
        "images": [image["url"] for image in info["images"]],
        "description": info["model"]["description"],
        "creator": info["creator"]["username"],
    }


def read_webui(model_file: Path) -> dict[str, Any]:
    """`get_user_metadata`, then the LoRA page's `create_item` and the editor's fields."""
    metadata = json.loads(model_file.with_suffix(".json").read_text("utf8"))
    assert isinstance(metadata.get("description", ""), str)
    weight = metadata.get("preferred weight", 0.0)
    return {
        "description": metadata.get("description", ""),
        "sd version": metadata.get("sd version"),
        "prompt": " " + metadata.get("activation text", ""),
        "weight": float(weight),
        "negative": metadata.get("negative text", ""),
        "notes": metadata.get("notes", ""),
        "checkpoint version": metadata.get("sd_version_str", "").replace("SdVersion.", ""),
    }


def read_lora_manager(model_file: Path) -> dict[str, Any]:
    """`MetadataManager.load_metadata`: a dataclass made of the known keys."""
    data: dict[str, Any] = json.loads(model_file.with_suffix(".metadata.json").read_text("utf-8"))
    for field, kind in LORA_MANAGER_FIELDS.items():
        assert isinstance(data[field], kind), field
    assert "\\" not in data["file_path"]
    assert data["sha256"] == data["sha256"].lower()
    assert all(isinstance(tag, str) for tag in data["tags"])
    if "usage_tips" in data:
        assert isinstance(json.loads(data["usage_tips"]), dict)
    return data


def read_stability_matrix(model_file: Path) -> dict[str, Any]:
    """`ConnectedModelInfo.FromJson`: System.Text.Json throws on any value of a wrong type."""
    data: dict[str, Any] = json.loads(model_file.with_suffix(".cm-info.json").read_text("utf-8"))
    _check(data, _CM_INFO, "$")
    return data


def _check(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        for key, inner in shape.items():
            if key in value:
                _check(value[key], inner, f"{where}.{key}")
    elif value is None:
        assert shape not in _NOT_NULLABLE, where
    elif shape == _TEXTS:
        assert isinstance(value, list), where
        for item in value:
            _check(item, _TEXT, where)
    elif shape == "time":
        assert datetime.datetime.fromisoformat(value).tzinfo is not None, where
    else:
        types: dict[str, type | tuple[type, ...]] = {
            _INT: int,
            _BOOL: bool,
            _TEXT: str,
            "double": (int, float),
        }
        assert isinstance(value, types[shape]), where
        assert isinstance(value, bool) == (shape == _BOOL), where
        if shape == _INT:
            assert value in range(-(1 << 31), 1 << 31), where
