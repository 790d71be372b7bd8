"""Which bytes a part is made of: what changes with the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelhub.formats.reading import require_regular


@dataclass(frozen=True, slots=True)
class ContentKey:
    """A file as it is now; another once it is written to or replaced."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    device: int


def content_of(path: Path) -> ContentKey:
    """The file's key.

    :raises FileUnreadable: it is not there, or is no regular file.
    """
    status = require_regular(path)
    return ContentKey(str(path), status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
