"""What the catalog hands to those who match, verify, find duplicates, and export."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.paths import decode_path


class BlobKey(NamedTuple):
    """A content by its hashes, in upper-case hex."""

    sha256: str
    blake3: str | None
    crc32: str | None
    autov1: str | None
    autov3: str | None
    size: int

    @property
    def autov2(self) -> str:
        """The first 10 digits of the SHA256."""
        return self.sha256[:10]


class ReadingOrder(NamedTuple):
    """Hashed files in the order in which to read them again: longest ago first. Columns of numbers,
    since a large library has a million files."""

    ids: array[int]
    sizes: array[int]
    """In bytes."""
    verified: array[float]
    """When, in seconds since 1970; 0 for a file that was read only when it was hashed."""


class Due(NamedTuple):
    """A file that is to be read again and compared."""

    id: int
    root: str
    path: str
    size: int
    mtime_ns: int
    inode: int | None
    sha256: str
    fault: str | None
    verified_at: datetime | None
    verify_ok: bool | None
    published: bool
    """Whether a known publication has this SHA256."""

    @property
    def file(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.root) / decode_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One of several files with the same content: of parts of models, each for itself."""

    id: int
    root: str
    path: str
    size: int
    mtime_ns: int
    inode: int | None
    added_at: datetime
    sha256: str
    format: str | None
    precision: str | None

    @property
    def file(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.root) / decode_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSet:
    """Files of the same bytes."""

    sha256: str
    files: tuple[Copy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAs:
    """A published file that a local one is; or the version that it was pulled from, where its
    content is none of that version's published files (`file_id` is None)."""

    model_id: int
    model_name: str
    model_type: str
    """Civitai's own word: ``LORA``."""
    creator: str | None
    model_mode: str | None
    """``Archived`` or ``TakenDown``; None when it is neither."""
    model_gone_at: datetime | None
    """When Civitai was first seen not to have the model any more."""
    version_id: int
    version_name: str
    base_model: str | None
    published_at: datetime | None
    version_gone_at: datetime | None
    file_id: int | None = None
    file_name: str | None = None
    file_type: str | None = None
    """Civitai's own word: ``Pruned Model``."""
    size: int | None = None
    format: str | None = None
    variant: str | None = None
    """Civitai's ``metadata.size``: ``full`` or ``pruned``."""
    fp: str | None = None
    quant_type: str | None = None


class WeightScope(StrEnum):
    """Of what in a file :class:`KnownKeys` are."""

    ALL = "all"
    SAMPLE = "sample"
    """Of a few tensors' first numbers: tells that two files differ, never that they are alike."""
    VAE = "vae"
    """Of a VAE, alone or baked into a checkpoint."""
    VAE_SAMPLE = "vae sample"


class KnownKeys(NamedTuple):
    """The keys of a content's weights, as :class:`modelhub.formats.digests.WeightKeys` has them."""

    own: str
    keys: Mapping[str, str]
    """By level; empty where they cannot be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A file with weights of its own, the first one that was added of each content."""

    id: int
    root: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    format: str
    kind: str | None
    architecture: str | None
    adapter: str | None
    precision: str | None
    vae: bool | None

    @property
    def file(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.root) / decode_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWords:
    """What the user wrote about one content."""

    sha256: str
    size: int
    hashes: Mapping[str, str]
    """By name, as in :attr:`modelhub.catalog.FileDetails.hashes`."""
    paths: tuple[str, ...] = ()
    """Where files with this content are or were, absolute, in the catalog's spelling."""
    tags: tuple[str, ...] = ()
    note: str | None = None
    rating: int | None = None
    trigger_words: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """See :data:`modelhub.catalog.userwords.USER_VALUES`."""
