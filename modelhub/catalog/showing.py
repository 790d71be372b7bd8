"""What the catalog answers besides listings: plain frozen values that msgspec can encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from modelhub.catalog.paths import decode_path
from modelhub.catalog.rows import FileRow, FileState


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One published file that a blob is known to be."""

    model_id: int
    model_name: str
    model_type: str
    creator: str | None
    version_id: int
    version_name: str
    base_model: str | None
    published_at: datetime | None
    air: str | None
    remote_file_id: int
    remote_name: str
    primary: bool
    published_tags: tuple[str, ...]
    gone_at: datetime | None
    """When Civitai was first seen not to have the model or version any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRow:
    """A preview of a version; `file` is in the catalog's spelling."""

    version_id: int
    url: str
    kind: str
    width: int | None
    height: int | None
    nsfw_level: int | None
    file: str | None
    meta: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRow:
    """A test image; `file` is in the catalog's spelling."""

    id: int
    created_at: datetime
    file: str
    prompt: str
    negative_prompt: str
    seed: int | None
    parameters: Mapping[str, Any]
    sha256: str
    """Of the model that was tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of the history."""

    id: int
    at: datetime
    kind: str
    text: str
    sha256: str | None
    local_file_id: int | None
    version_id: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Another file of a model: a shard, or a part of a diffusers folder. `path` is relative to the
    model's root, in the catalog's spelling."""

    id: int
    path: str
    size: int
    state: FileState
    sha256: str | None
    fault: str | None
    verdict: str | None = None
    """What a scan of its pickles found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """A content that was made from another, seen from either of the two."""

    sha256: str
    """Of the other content."""
    operation: str
    """One line for people: ``converted to fp16 safetensors``."""
    at: datetime
    files: tuple[str, ...] = ()
    """Where the other content is on disk, absolute and in the catalog's spelling; none: it is gone,
    or never was in the catalog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDetails:
    """Everything known about one local file."""

    row: FileRow
    hashes: Mapping[str, str]
    """By name: ``SHA256``, ``AutoV2``, ``BLAKE3``, ``CRC32``, ``AutoV1``, ``AutoV3``."""
    parameters: int | None
    pickle_verdict: str | None
    """Of the file itself; :attr:`row` has the worst of all files of the model."""
    scan: Any
    """The report on its pickles, decoded; None where there is none."""
    header: Any
    """What the header told, decoded: ``identity``, ``metadata``, ``parts``; or only metadata."""
    identity: Mapping[str, Any] | None
    """:class:`modelhub.formats.identity.Identity` as JSON, with its evidence."""
    known_vae: str | None
    """Which VAE is baked in, or it is, where it is a known one."""
    note: str | None
    trigger_words: tuple[str, ...]
    """As published."""
    own_trigger_words: tuple[str, ...]
    trained_words: tuple[str, ...]
    """As the trainer left them in the file."""
    user_values: Mapping[str, str]
    """What the user wrote besides: :data:`modelhub.catalog.userwords.USER_VALUES`."""
    parts: tuple[Part, ...]
    """The other files of the model."""
    asked_at: datetime | None
    """When Civitai was last asked about the content."""
    verified_at: datetime | None
    """When the file was last read again and compared."""
    verify_ok: bool | None
    """Whether it was then what it had been."""
    publications: tuple[Publication, ...]
    """The one that the listing names comes first."""
    previews: tuple[PreviewRow, ...]
    renders: tuple[RenderRow, ...]
    events: tuple[EventRow, ...]
    """The latest first, at most 100."""
    copies: tuple[FileRow, ...]
    """Other files with the same content."""
    made_from: tuple[Derivation, ...] = ()
    """The contents from which this one was made, in the order in which they went in."""
    made_into: tuple[Derivation, ...] = ()
    """What was made from this content, the latest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRow:
    """A folder that the catalog knows."""

    id: int
    path: str
    layout: str | None
    watched: bool
    added_at: datetime
    device: int | None = None
    """Of its file system, at the last scan."""
    marker: str | None = None
    """Of its file system: its UUID, or what else tells it from others."""
    seen_files: int | None = None
    """Model files in it, at the last scan."""
    scanned_at: datetime | None = None
    """When a scan last went through it."""
    identified_by: int | None = None
    """The rules by which its files were identified: see :mod:`modelhub.formats.revision`."""
    verdicts_by: int | None = None
    """The rules by which its pickles were scanned: see :mod:`modelhub.formats.scan`."""

    @property
    def folder(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a change of tags, ratings, notes or trigger words touched."""

    files: int
    """Files that the selection named."""
    blobs: int
    """Contents that are different now."""
    unhashed: int
    """Files left alone because they have not been hashed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found."""

    check: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What `modelhub doctor` says about the catalog."""

    database: str
    revision: str | None
    size: int | None
    """Bytes, write-ahead log included; None where the server does not tell."""
    free_bytes: int | None
    files: int | None
    backups: tuple[str, ...]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(finding.ok for finding in self.findings)
