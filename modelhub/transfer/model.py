"""What a download is asked for and what it gives back: plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from modelhub.config import Config
from modelhub.formats.hashes import ContentHashes


@dataclass(frozen=True, slots=True)
class Expected:
    """What the publisher said of the file: sizes in bytes, hashes in hex; None is unknown.

    :param size_is_exact: False for sizes that were published in rounded units.
    """

    size: int | None = None
    size_is_exact: bool = False
    sha256: str | None = None
    blake3: str | None = None
    crc32: str | None = None
    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None


class LinkSource(Protocol):
    """Where the URL of the file comes from."""

    def link(self) -> str:
        """A fresh URL; called again, from any thread, when the last one no longer works."""


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """One file to fetch.

    :param task: the name under which progress is told.
    :param folder: where the final file will be; made when missing.
    :param partial_name: a plain file name, one for each content that may be fetched to `folder`
        at the same time.
    """

    task: str
    source: LinkSource
    folder: Path
    partial_name: str
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """How to fetch: sizes in bytes, rates in bytes a second, times in seconds."""

    connections: int = 8
    limit_rate: int | None = None
    extra_hashes: frozenset[str] = frozenset()
    reserve_space: bool = True
    min_free: int = 1 << 30
    timeout: float = 30.0
    retries: int = 8
    max_wait: float = 120.0
    backoff: float = 0.5
    """The first wait after a failure without a Retry-After; doubled each time, 30 s at most."""

    @classmethod
    def of(cls, config: Config) -> Self:
        """The settings as the user configured them."""
        section = config.download
        return cls(
            connections=section.connections,
            limit_rate=section.limit_rate or None,
            extra_hashes=frozenset(section.extra_hashes),
            reserve_space=section.reserve_space,
            min_free=section.min_free,
            timeout=section.timeout,
            retries=section.retries,
            max_wait=config.civitai.max_wait,
        )


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole and was verified; still under its partial name.

    This process keeps the partial's lock until `commit`, `discard` or `release` is called.

    :param verified_by: the published hash that proved it (``SHA256`` ...); None when none was.
    :param fetched_bytes: what came over the network in this call.
    :param resumed_bytes: what was there before.
    """

    partial: Path
    size: int
    hashes: ContentHashes
    verified_by: str | None
    fetched_bytes: int
    resumed_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """Another process finished the same file while this one waited for it."""

    path: Path
