"""What the other parts hand to the catalog: plain frozen values, in the catalog's own words.

A field that is ``None`` means "not said": recording it keeps what the catalog knew before, so that
a short answer (a version found by its hash) never wipes out what a long one told. Times are aware
datetimes and are kept in UTC; sizes are bytes; hashes are hex of any case, kept upper-case.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.rows import FileState

if TYPE_CHECKING:
    from modelhub.formats.hashes import ContentHashes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model as Civitai publishes it. `type` is Civitai's word (``LORA``, ``Checkpoint``)."""

    id: int
    name: str
    type: str
    fetched_at: datetime
    creator: str | None = None
    nsfw: bool | None = None
    mode: str | None = None
    """``Archived`` or ``TakenDown``; None when it is neither."""
    tags: tuple[str, ...] | None = None
    raw: str | None = None
    """The JSON text of the answer, kept as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRecord:
    """A preview image or video of a version; `url` identifies it within the version."""

    url: str
    civitai_id: int | None = None
    kind: str = "image"
    width: int | None = None
    height: int | None = None
    nsfw_level: int | None = None
    """Civitai's bit flags: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX, 32 blocked."""
    blurhash: str | None = None
    meta: str | None = None
    """JSON text: prompt, seed, sampler, as published."""
    file: Path | None = None
    """Where a copy was written on this disk, absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version of a model."""

    id: int
    model_id: int
    name: str
    fetched_at: datetime
    base_model: str | None = None
    base_model_type: str | None = None
    published_at: datetime | None = None
    air: str | None = None
    availability: str | None = None
    trained_words: tuple[str, ...] | None = None
    previews: tuple[PreviewRecord, ...] | None = None
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFileRecord:
    """A published file of a version. The same `id` may be listed under several versions."""

    id: int
    version_id: int
    name: str
    type: str | None = None
    format: str | None = None
    variant: str | None = None
    """Civitai's ``metadata.size``: ``full`` or ``pruned``."""
    fp: str | None = None
    quant_type: str | None = None
    size: int | None = None
    """Bytes; rounded from Civitai's ``sizeKB``."""
    primary: bool = False
    sha256: str | None = None
    blake3: str | None = None
    crc32: str | None = None
    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    pickle_scan: str | None = None
    virus_scan: str | None = None
    download_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What identification found in a file, in the catalog's words. None, or empty: not known."""

    format: str | None = None
    """``safetensors``, ``ckpt`` (zip or legacy pickle), ``gguf``, ..."""
    kind: str | None = None
    """``checkpoint``, ``lora``, ``vae``, ``embedding``, ..."""
    adapter: str | None = None
    """Of a LoRA: ``kohya``, ``locon``, ``dora``, ..."""
    architecture: str | None = None
    """``sd1``, ``sdxl``, ``flux``, ... as the tensors tell."""
    edition: str | None = None
    """Which of the architecture's models: ``refiner``, ``schnell``, ..."""
    variants: tuple[str, ...] = ()
    """``inpainting``, ``v-prediction``, ``turbo``, ..."""
    family: str | None = None
    """``pony``, ``illustrious``, ..., by metadata."""
    precision: str | None = None
    """``fp16``, ``bf16``, ``fp32``, ``fp8``, ``mixed``, ..."""
    parameters: int | None = None
    ema: bool | None = None
    pruned: bool | None = None
    vae: bool | None = None
    """Whether a VAE is baked in."""
    known_vae: str | None = None
    """Which one, where its tensors are those of a known one."""
    guessed: bool = False
    """Whether the kind, architecture or family is a guess."""
    pickle_verdict: str | None = None
    """``safe``, ``suspicious`` or ``dangerous``; None where it can carry no pickle, or none was
    looked for."""
    scanner: int | None = None
    """The revision of the rules by which that was found: :mod:`modelhub.formats.scan`."""
    trigger_words: tuple[str, ...] = ()
    """As the trainer left them; the published and the user's own are kept apart."""
    header: str | None = None
    """JSON text: ``{"identity": ..., "metadata": ..., "parts": [...]}``."""
    scan: str | None = None
    """JSON text: the report on the pickles inside, :func:`modelhub.services.scan.report_document`.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRecord(Found):
    """Content, by its SHA256, its other hashes, and what identification found in it."""

    sha256: str
    size: int
    blake3: str | None = None
    crc32: str | None = None
    autov1: str | None = None
    autov3: str | None = None

    @classmethod
    def of(cls, found: Found | None, hashes: ContentHashes, size: int) -> BlobRecord:
        """The record of a content of `size` bytes that was hashed and identified."""
        facts = {one.name: getattr(found, one.name) for one in fields(Found)} if found else {}
        return cls(
            sha256=hashes.sha256,
            size=size,
            blake3=hashes.blake3,
            crc32=hashes.crc32,
            autov1=hashes.autov1,
            autov3=hashes.autov3,
            **facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """A file as a scan saw it, and what its header told."""

    path: str
    """Relative to its root, in the catalog's spelling (:mod:`modelhub.catalog.paths`)."""
    size: int
    mtime_ns: int
    inode: int | None = None
    found: Found | None = None
    fault: str | None = None
    """Why it could not be read, in a sentence."""
    part_of: str | None = None
    """The path, in the same root, of the first file of the model of which this one is a part; that
    one is recorded in the same call or has been before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFileRecord:
    """A file on this disk: `path` is relative to `root`, both as :mod:`os` gives them."""

    root: Path
    path: Path
    size: int
    mtime_ns: int
    inode: int | None = None
    state: FileState | None = None
    """None: ``hashed`` when a blob is recorded with it, else ``new``."""

    @classmethod
    def of(
        cls, root: Path, path: Path, *, stat: os.stat_result, state: FileState | None = None
    ) -> LocalFileRecord:
        """The record of `path` (relative, or absolute below `root`) from what stat said."""
        relative = path.relative_to(root) if path.is_absolute() else path
        return cls(
            root=root,
            path=relative,
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            inode=stat.st_ino,
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRecord:
    """One test image with all that made it."""

    sha256: str
    """Of the model that was tested."""
    file: Path
    parameters: Mapping[str, Any]
    also_used: tuple[str, ...] = ()
    """SHA256 of the other contents that took part; those that the catalog knows count as used."""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened; the history is only ever appended to."""

    kind: str
    """``pulled``, ``indexed``, ``moved``, ``tagged``, ..."""
    text: str
    """One line for people."""
    at: datetime | None = None
    """None: now."""
    sha256: str | None = None
    local_file_id: int | None = None
    version_id: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """For programs; JSON-able."""
