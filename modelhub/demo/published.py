"""What a creator publishes on the demo hub: models, versions, files and images.

The fields follow the answers of Civitai's public API (``src/pages/api/v1`` of
``civitai/civitai``); ids left at 0 are given by the hub.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Content: TypeAlias = bytes | Path | Callable[[Path], None]
"""The bytes, a file that has them, or a function that writes them to the path it is given."""

Disposition: TypeAlias = Literal["plain", "extended", "both", "none"]
"""How storage names the file: ``filename=``, ``filename*=``, both (RFC 6266), or not at all."""

LONG_AGO = dt.datetime(2023, 8, 1, 12, 0, tzinfo=dt.UTC)


@dataclass(slots=True, kw_only=True)
class PublishedFile:
    """One file of a version.

    `download_name` is the name that storage gives, where it differs from the API's `name`;
    `hashes` are the names of the hashes that the API tells, None being all of them.
    """

    name: str
    content: Content
    id: int = 0
    type: str = "Model"
    format: str | None = "SafeTensor"
    size: str | None = "pruned"
    fp: str | None = "fp16"
    quant_type: str | None = None
    download_name: str | None = None
    disposition: Disposition = "both"
    pickle_scan: str = "Success"
    pickle_message: str | None = "No Pickle imports"
    virus_scan: str = "Success"
    hashes: tuple[str, ...] | None = None
    version_id: int = 0
    """Set by the hub when it is published."""


@dataclass(slots=True, kw_only=True)
class PublishedImage:
    """A preview: the picture itself is drawn from `seed` when it is asked for."""

    seed: int
    width: int = 512
    height: int = 768
    nsfw_level: int = 1
    prompt: str | None = None
    id: int = 0


@dataclass(slots=True, kw_only=True)
class PublishedVersion:
    """One version of a model.

    `early_access_until` makes downloads answer 403 until then; `login_required` 401 without a
    key; `usage_control` other than ``Download`` 401 for everybody; a `status` other than
    ``Published`` hides it. `vae_version_id` appends that version's VAE to the files.
    """

    name: str
    files: list[PublishedFile] = field(default_factory=list)
    images: list[PublishedImage] = field(default_factory=list)
    id: int = 0
    base_model: str = "SD 1.5"
    base_model_type: str | None = "Standard"
    description: str | None = None
    trained_words: list[str] = field(default_factory=list)
    published_at: dt.datetime = LONG_AGO
    status: str = "Published"
    availability: str = "Public"
    login_required: bool = False
    early_access_until: dt.datetime | None = None
    usage_control: str = "Download"
    vae_version_id: int | None = None
    downloads: int = 0
    thumbs_up: int = 0


@dataclass(slots=True, kw_only=True)
class PublishedModel:
    """A model; `mode` is None, ``Archived`` (no files) or ``TakenDown`` (no images)."""

    name: str
    versions: list[PublishedVersion] = field(default_factory=list)
    id: int = 0
    type: str = "Checkpoint"
    creator: str | None = "demo"
    tags: list[str] = field(default_factory=list)
    description: str | None = None
    nsfw: bool = False
    poi: bool = False
    mode: str | None = None
    checkpoint_type: str | None = None
    supports_generation: bool = False
    allow_no_credit: bool = True
    allow_commercial_use: list[str] = field(default_factory=lambda: ["Image", "RentCivit"])
    allow_derivatives: bool = True
    allow_different_license: bool = True
