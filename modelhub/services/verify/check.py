"""Reading one file again, and what the comparison means.

Size and mtime tell a file that somebody wrote from one that rotted: who writes changes the time,
and a disk that loses bits does not. What the system still holds of a file in memory is dropped
before it is read (``POSIX_FADV_DONTNEED``), so that the disk answers and not the cache; a system
without this call, and a file that is mapped by another program, are read as they come.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.hashes import hash_file
from modelhub.formats.reading import read_header, require_regular

if TYPE_CHECKING:
    from modelhub.catalog.keeprows import Due

_SHA256 = frozenset({"sha256"})
_MISSING = (FileNotFoundError, NotADirectoryError)


class Verdict(StrEnum):
    """How a file compares with what the catalog knows of it."""

    OK = "ok"
    BIT_ROT = "bit rot"
    """Nobody wrote to it, and its bytes are others."""
    UNSTABLE = "unstable"
    """It gave different bytes each time that it was read."""
    TRUNCATED = "truncated"
    CHANGED = "changed"
    """Somebody wrote to it: `modelhub index` takes it in as it is now."""
    MISSING = "missing"
    UNREADABLE = "unreadable"

    @property
    def damaged(self) -> bool:
        """Whether what is on disk is not what was stored there."""
        return self in (Verdict.BIT_ROT, Verdict.UNSTABLE, Verdict.TRUNCATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One file that was compared.

    :param detail: a sentence for people; empty where all is well.
    :param sha256: of what was read, in upper case; None where nothing was, or not to the end.
    :param elsewhere: where the same content is as well, for one that is damaged or missing.
    """

    id: int
    path: Path
    size: int
    expected: str
    published: bool
    verdict: Verdict
    detail: str = ""
    sha256: str | None = None
    mtime_ns: int | None = None
    inode: int | None = None
    elsewhere: tuple[Path, ...] = ()


def check(due: Due, progress: Callable[[int], None], cancel: Event) -> Checked:
    """Read one file to its end and compare it. Nothing is written.

    :param progress: called with the bytes read so far.
    :raises Cancelled: `cancel` was set.
    """
    path = due.file
    try:
        before = require_regular(path)
    except FileUnreadable as error:
        if isinstance(error.__cause__, _MISSING):
            return _said(due, Verdict.MISSING, _why_missing(due))
        return _said(due, Verdict.UNREADABLE, error.message)
    try:
        return _compared(due, before, progress, cancel)
    except _MISSING:
        return _said(due, Verdict.MISSING, "it was removed while it was read")
    except OSError as error:
        return _said(due, Verdict.UNREADABLE, f"cannot be read: {error.strerror or error}")


def _compared(
    due: Due, before: os.stat_result, progress: Callable[[int], None], cancel: Event
) -> Checked:
    path = due.file
    written = before.st_mtime_ns != due.mtime_ns
    if before.st_size != due.size:
        return _of_another_size(due, before, written)
    sha256 = _read(path, progress, cancel)
    if _stat(path) != _key(before):
        return _said(due, Verdict.CHANGED, "it was written to while it was read")
    if sha256 == due.sha256:
        return _said(due, Verdict.OK, "", sha256, before)
    if written:
        return _said(due, Verdict.CHANGED, "somebody wrote to it since it was hashed", sha256)
    again = _read(path, progress, cancel)
    if again == sha256:
        detail = f"its SHA256 is {sha256[:10]}… and was {due.sha256[:10]}…, its time is the same"
        return _said(due, Verdict.BIT_ROT, detail, sha256)
    return _said(due, Verdict.UNSTABLE, "two reads gave different bytes: disk, cable or memory")


def _of_another_size(due: Due, now: os.stat_result, written: bool) -> Checked:
    sizes = f"{now.st_size:,} bytes, {due.size:,} before"
    if now.st_size > due.size:
        verdict = Verdict.CHANGED if written else Verdict.BIT_ROT
        return _said(due, verdict, f"it has {sizes}")
    if not written or _is_cut_off(due.file):
        return _said(due, Verdict.TRUNCATED, f"it was cut off: {sizes}")
    return _said(due, Verdict.CHANGED, f"somebody wrote to it since it was hashed: {sizes}")


def _is_cut_off(path: Path) -> bool:
    """Whether a file that got shorter is not whole, rather than another one of that name."""
    try:
        return not read_header(path).size  # an empty file is whole as well
    except FormatError:
        return True
    except FileUnreadable:
        return False


def _read(path: Path, progress: Callable[[int], None], cancel: Event) -> str:
    _drop_cache(path)
    try:
        return hash_file(path, _SHA256, progress=progress, cancel=cancel).sha256
    finally:
        _drop_cache(path)


def _drop_cache(path: Path) -> None:
    """Have the system forget what it holds of a file: before the read, and what it left behind."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _why_missing(due: Due) -> str:
    from modelhub.catalog.paths import decode_path

    root = decode_path(due.root)
    if not root.is_dir():
        return f"its root {root} is not there: its disk may not be mounted"
    return "it is not there"


def _said(
    due: Due,
    verdict: Verdict,
    detail: str,
    sha256: str | None = None,
    status: os.stat_result | None = None,
) -> Checked:
    return Checked(
        id=due.id,
        path=due.file,
        size=due.size,
        expected=due.sha256,
        published=due.published,
        verdict=verdict,
        detail=detail,
        sha256=sha256,
        mtime_ns=status.st_mtime_ns if status else None,
        inode=status.st_ino if status else None,
    )


def _key(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _stat(path: Path) -> tuple[int, int, int]:
    return _key(os.stat(path))  # noqa: PTH116 (as `require_regular` does)
