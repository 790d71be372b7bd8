"""What a listing shows of a file: a plain frozen value that msgspec can encode.

Paths are in the catalog's spelling (:mod:`modelhub.catalog.paths`), which is the path itself but
for names that are not UTF-8; ``file`` gives the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from modelhub.catalog.paths import decode_path


class FileState(StrEnum):
    """What is known about a local file."""

    NEW = "new"
    """Seen on disk, not hashed yet: it has no blob."""
    HASHED = "hashed"
    """Read and hashed; size and mtime are as they were then."""
    CHANGED = "changed"
    """Size or mtime differ from when it was hashed: the blob is what it was."""
    MISSING = "missing"
    """It was here and is gone; what the user wrote about it is kept."""
    QUARANTINED = "quarantined"
    """Set aside: its content failed verification or is unsafe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One local file, with everything that a listing shows."""

    id: int
    root: str
    path: str
    name: str
    size: int
    mtime_ns: int
    added_at: datetime
    state: FileState
    sha256: str | None
    type: str | None
    """Lower-case: ``checkpoint``, ``lora``, ``embedding``, ..."""
    base: str | None
    """The base model as published (``SDXL 1.0``), else the architecture's family."""
    architecture: str | None
    precision: str | None
    format: str | None
    ema: bool | None
    vae: bool | None
    unsafe: bool | None
    nsfw: bool | None
    rating: int | None
    tags: tuple[str, ...]
    """The user's own."""
    creator: str | None
    model_id: int | None
    model_name: str | None
    version_id: int | None
    version_name: str | None
    copies: int
    """Files with this content that are on disk, this one included."""
    used_at: datetime | None
    adapter: str | None = None
    """The family of a LoRA: ``kohya``, ``locon``, ``dora``, ..."""
    edition: str | None = None
    """Which of the architecture's models: ``refiner``, ``schnell``, ..."""
    variants: tuple[str, ...] = ()
    """``inpainting``, ``v-prediction``, ``turbo``, ..."""
    family: str | None = None
    """``pony``, ``illustrious``, ..., by metadata."""
    parameters: int | None = None
    pruned: bool | None = None
    parts: int = 1
    """Files of the model: shards, or the parts of a diffusers folder; ``size`` is of them all."""
    fault: str | None = None
    """Why the file could not be read."""
    guessed: bool = False
    """Whether what it is was guessed."""
    verdict: str | None = None
    """What a scan of its pickles found: ``safe``, ``suspicious`` or ``dangerous``; of several files
    the worst. None: it can carry no pickle, or has not been scanned."""

    @property
    def file(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.root) / decode_path(self.path)
