"""What a sidecar says was published: a claim, in the shape of the API's own answers.

A claim is to be believed when a SHA256 in it is that of the model beside it. The shapes are those
that the writers beside this module give, with their sources; a sidecar of another source than
Civitai (Stability Matrix knows several) claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.placement.sidecars.contract import Json, child, number, text, texts

_SHA256 = re.compile("[0-9A-F]{64}")
_MOST_FILES = 1_000
_CIVITAI_SOURCES = (None, 0, "Civitai")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A version, as a sidecar tells it."""

    version: Mapping[str, Any]
    """As `GET /model-versions/:id` answers, as far as the sidecar has it."""
    sha256s: frozenset[str]
    """Of the files that it lists, upper-case; empty where it names none."""
    whole: bool
    """Whether `version` is the answer as it came, and no summary of it."""

    @property
    def version_id(self) -> int:
        """The id of the version."""
        return int(self.version["id"])

    @property
    def model(self) -> Mapping[str, Any]:
        """What it says of the model: name, type, perhaps description, tags and creator."""
        return child(self.version, "model")


def of_civitai_info(content: Json) -> Claim | None:
    """`STEM.civitai.info`: the answer itself. A "skeleton", for an unknown file, has no id."""
    return _claim(content, whole=True)


def of_lora_manager(content: Json) -> Claim | None:
    """`STEM.metadata.json`: the answer is under `civitai`."""
    return _claim(dict(child(content, "civitai")), whole=True)


def of_stability_matrix(content: Json) -> Claim | None:
    """`STEM.cm-info.json`: the fields of the answer under names of its own."""
    if content.get("Source") not in _CIVITAI_SOURCES:
        return None
    file_id = number(content.get("RemoteFileId"))
    hashes = child(content, "Hashes")
    file: Json = {
        "id": file_id,
        "name": text(content.get("RemoteFileName")),
        "metadata": dict(child(content, "FileMetadata")),
        "hashes": dict(hashes),
    }
    version: Json = {
        "id": content.get("VersionId"),
        "modelId": content.get("ModelId"),
        "name": text(content.get("VersionName")),
        "description": text(content.get("VersionDescription")) or None,
        "baseModel": text(content.get("BaseModel")) or None,
        "trainedWords": texts(content.get("TrainedWords")),
        "model": {
            "name": text(content.get("ModelName")),
            "type": text(content.get("ModelType")) or None,
            "nsfw": content.get("Nsfw") is True,
            "description": text(content.get("ModelDescription")),
            "tags": texts(content.get("Tags")),
        },
        "creator": {"username": text(content.get("AuthorUsername")) or None},
        # Files have ids; one without cannot be told from the others of its version.
        "files": [file] if file_id is not None else [],
    }
    return _claim(version, whole=False)


def _claim(version: Json, *, whole: bool) -> Claim | None:
    if number(version.get("id")) is None or number(version.get("modelId")) is None:
        return None
    listed = version.get("files")
    files = listed[:_MOST_FILES] if isinstance(listed, list) else []
    hashes = (
        text(child(file, "hashes").get("SHA256")).strip().upper()
        for file in files
        if isinstance(file, Mapping)
    )
    sha256s = frozenset(value for value in hashes if _SHA256.fullmatch(value))
    return Claim(version=version, sha256s=sha256s, whole=whole)
