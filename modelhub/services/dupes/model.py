"""What a search for duplicates gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Same(StrEnum):
    """In what the files of a group are the same."""

    BYTES = "bytes"
    WEIGHTS = "weights"
    """In another precision, container, order, or with other metadata."""
    VAE = "vae"
    """A VAE, and checkpoints with it baked in."""


class Part(StrEnum):
    """What a file is in its group."""

    KEPT = "kept"
    """The others on its disk would become links to it."""
    COPY = "copy"
    """Takes space of its own, which a link would save."""
    LINKED = "linked"
    """Shares its space with the kept one: a hard link, a reflink, or a symbolic link."""
    APART = "apart"
    """The only one on its disk, where no link to the others reaches."""
    CHANGED = "changed"
    """Not what was hashed: `modelhub index` looks at it again."""
    SOURCE = "most precise"
    """Of the same weights, the one that has lost least."""
    DERIVED = "same weights"
    BAKED = "has it baked in"
    ALONE = "vae file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of a group.

    :param saves: bytes that a link in its place would free.
    """

    id: int
    path: Path
    size: int
    mtime_ns: int
    part: Part
    sha256: str
    format: str | None = None
    precision: str | None = None
    saves: int = 0
    link_to: Path | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files that are the same in something.

    :param key: the SHA256 of the bytes, or the key of the weights at that level.
    :param level: to which the numbers were rounded to compare them: ``exact``, ``fp16``, ``bf16``.
    """

    same: Same
    key: str
    members: tuple[Member, ...]
    level: str | None = None

    @property
    def saves(self) -> int:
        """Bytes that linking would free."""
        return sum(one.saves for one in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class DupesReport:
    """All groups, those of the same bytes first, the largest first.

    :param read_bytes: that were read to compare weights; the next time none are.
    :param not_compared: files whose weights cannot be compared, and why.
    """

    groups: tuple[Group, ...]
    read_bytes: int = 0
    not_compared: tuple[tuple[Path, str], ...] = ()

    @property
    def saves(self) -> int:
        """Bytes that linking would free."""
        return sum(one.saves for one in self.groups)
