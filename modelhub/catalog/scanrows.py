"""The rows that pass between the catalog and those who scan the disk: plain tuples, as there may be
a million of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from modelhub.catalog.paths import decode_path

if TYPE_CHECKING:
    from modelhub.catalog.records import BlobRecord


class KnownFile(NamedTuple):
    """A file as the catalog knows it. `path` is in the catalog's spelling."""

    id: int
    path: str
    size: int
    mtime_ns: int
    inode: int | None
    state: str
    blob_id: int | None
    part_of: int | None


KnownRow: TypeAlias = tuple[int, str, int, int, int | None, str, int | None, int | None]
"""A :class:`KnownFile` as the database gives it: of a million, few need names for their fields."""


class InodeMatch(NamedTuple):
    """A known file with an inode that was asked for; size and mtime are the same as well."""

    id: int
    root_id: int
    path: str
    inode: int
    size: int
    mtime_ns: int
    blob_id: int | None
    state: str


class Move(NamedTuple):
    """A file that has another place now; `path` is in the catalog's spelling."""

    file_id: int
    root_id: int
    path: str


class Verdict(NamedTuple):
    """What a scan found in the pickles of a file, and its size and mtime when it was read."""

    file_id: int
    size: int
    mtime_ns: int
    verdict: str
    """``safe``, ``suspicious`` or ``dangerous``."""
    scanner: int
    """The revision of the rules."""
    report: str
    """JSON."""


class Waiting(NamedTuple):
    """A file that has not been hashed as it is now."""

    id: int
    root: str
    path: str
    size: int
    mtime_ns: int
    fault: str | None

    @property
    def file(self) -> Path:
        """Where it is, absolute."""
        return decode_path(self.root) / decode_path(self.path)


class Hashed(NamedTuple):
    """What a file hashed to, and its size and mtime when it was read."""

    file_id: int
    size: int
    mtime_ns: int
    blob: BlobRecord
    fault: str | None = None
    """The fault that the file still has: one of its content, not of opening it."""
