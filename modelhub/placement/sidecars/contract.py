"""What every sidecar writer is given, and what it must be able to do."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from modelhub.placement.kinds import Kind, kind_of

Json = dict[str, Any]
"""A JSON object, as `json.loads` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarFacts:
    """Everything that sidecars are made of: the answers of the API as they came, and the file.

    Nothing in the answers is trusted to have the right type, and any part may be missing.
    """

    path: Path
    """The model file under its final name, absolute."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digits of any case, as computed from the bytes."""
    version: Mapping[str, Any]
    """The answer of `GET /model-versions/...`, decoded."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """The answer of `GET /models/:id`, decoded; empty where it is gone."""
    file: Mapping[str, Any] = field(default_factory=dict)
    """The entry of `version.files` that this file is."""
    preview: Path | None = None
    """The preview image beside the file, where there is one."""
    preview_nsfw_level: int = 0
    """Civitai's bit for that image."""
    preview_source: str | None = None
    """The URL that the preview came from."""
    imported_at: datetime.datetime = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC)
    )
    """When the file came into the library, with a time zone."""

    @property
    def model_type(self) -> str:
        """Civitai's type of the model, from whichever answer has it, or empty."""
        return text(self.model.get("type")) or text(child(self.version, "model").get("type"))

    @property
    def kind(self) -> Kind:
        """What the file is for."""
        return kind_of(self.model_type, text(self.file.get("type")), self.path.name)


class SidecarWriter(Protocol):
    """One tool's sidecar: a module with these."""

    SUFFIX: str
    """What follows the stem: `.civitai.info`."""

    def build(self, facts: SidecarFacts) -> Json:
        """The whole sidecar, as the tool itself would write it for a fresh file."""
        ...

    def merge(self, existing: Json, fresh: Json) -> Json:
        """`existing` with what is new in `fresh`; what the user or the tool keeps there stays.

        :raises AnotherModels: `existing` describes another model.
        """
        ...


class AnotherModels(Exception):
    """The sidecar that is there describes another model version."""


def text(value: object) -> str:
    """`value` where it is text, else empty."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts in a list; tags of 2023 are objects with a `name`."""
    if not isinstance(value, list):
        return []
    names = (item.get("name") if isinstance(item, Mapping) else item for item in value)
    return [name for name in names if isinstance(name, str) and name]


def number(value: object) -> int | None:
    """`value` where it is a whole number, else `None`. JSON's `true` is no number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def child(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under `key`, or an empty one."""
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def described_version(existing: Json, key: str, fresh: Json) -> None:
    """Refuse to merge when both name a version and it is not the same.

    :raises AnotherModels: so it is.
    """
    theirs, ours = number(existing.get(key)), number(fresh.get(key))
    if theirs is not None and ours is not None and theirs != ours:
        raise AnotherModels(f"version {theirs}, not {ours}")
