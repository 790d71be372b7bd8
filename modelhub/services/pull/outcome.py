"""What a pull is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import ModelhubError
from modelhub.progress import Outcome


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What the user chose beside the references; None leaves the choice to the defaults.

    :param version: a version's id or name.
    :param file: a file's id or name.
    :param file_type: Civitai's file type, such as `VAE`.
    :param format: `SafeTensor`, `PickleTensor`, `GGUF` ...
    :param precision: `fp16`, `fp32`, `bf16` ...
    :param size: `full` or `pruned`.
    :param dry_run: resolve, choose and plan; write nothing.
    :param allow_unsafe: take files that Civitai's scan, or ours, calls dangerous.
    """

    version: str | None = None
    file: str | None = None
    file_type: str | None = None
    format: str | None = None
    precision: str | None = None
    size: str | None = None
    dry_run: bool = False
    allow_unsafe: bool = False


@dataclass(frozen=True, slots=True)
class PulledFile:
    """One reference, pulled (or planned, for a dry run).

    :param outcome: done (downloaded), present (was there), linked (to the same content).
    :param path: where the file is, or would be.
    :param size: bytes; as announced, for a dry run.
    :param sha256: of the content; None for a dry run of a file that none is published of.
    :param verified_by: the hash that proved it (`SHA256` ...), or None where none is published.
    :param reason: why this file of the version was chosen.
    :param fetched: bytes that came over the network in this run.
    :param resumed: bytes that were there from an earlier run.
    :param verdict: of our scan of its pickles; None where it can carry none, or was not scanned.
    :param download_seconds: of the transfer alone; `seconds` is from reference to record.
    """

    reference: str
    outcome: Outcome
    path: Path
    size: int
    sha256: str | None
    verified_by: str | None
    model_id: int | None
    model: str
    version_id: int
    version: str
    file_id: int | None
    file: str
    reason: str
    planned: bool = False
    fetched: int = 0
    resumed: int = 0
    download_seconds: float = 0.0
    seconds: float = 0.0
    verdict: str | None = None
    sidecars: list[Path] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FailedPull:
    """One reference that could not be pulled."""

    reference: str
    error: ModelhubError


PullOutcome = PulledFile | FailedPull
