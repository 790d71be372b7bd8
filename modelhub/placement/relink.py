"""A copy on disk replaced by a link to another file of the same bytes; nothing is ever lost.

The link is made beside the copy under a hidden name of its own, and takes the copy's name in one
step: whoever opens the name finds the old file or the new one, and a process that is killed in
between leaves both files and at most that hidden link, which the next run takes away.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from modelhub.placement.links import (
    Linked,
    LinkResult,
    hard_link,
    reflink,
    stop_if,
    translated,
)
from modelhub.whole_files import sync_folder

_BLOCK = 4 << 20
_SUFFIX = ".modelhub-link"
_FIEMAP = 0xC020660B
_MOST_EXTENTS = 256
_SHARED = 0x2000


def replace_by_link(
    kept: Path,
    copy: Path,
    *,
    kept_as: os.stat_result,
    copy_as: os.stat_result,
    progress: Callable[[int], None] | None = None,
    cancel: Event | None = None,
) -> LinkResult:
    """Put a link to `kept` in the place of `copy`, once all bytes of both have been compared.

    A reflink keeps the copy's own times and rights; where there is none, a hard link, which has
    those of `kept`, and is made only if both files have the same owner and rights.

    :param kept_as: what `lstat` said of `kept`, and `copy_as` of `copy`, when it was decided.
    :param progress: called with the bytes compared so far.
    :raises Cancelled: `cancel` was set; nothing was changed.
    :raises DiskFull, FolderNotWritable, RootMissing, DiskError: the disk refused; both are there.
    """
    if kept_as.st_dev != copy_as.st_dev:
        return LinkResult(Linked.UNSUPPORTED, copy, f"{kept} is on another file system")
    if (kept_as.st_ino, kept_as.st_dev) == (copy_as.st_ino, copy_as.st_dev):
        return LinkResult(Linked.PRESENT, copy, f"the same file as {kept}")
    try:
        if not _same_bytes(kept, copy, kept_as, copy_as, progress, cancel):
            return LinkResult(Linked.DIFFERENT, copy, f"{copy} or {kept} changed, or differ")
        return _replaced(kept, copy, kept_as, copy_as)
    except OSError as error:
        raise translated(error, copy) from error


def _replaced(
    kept: Path, copy: Path, kept_as: os.stat_result, copy_as: os.stat_result
) -> LinkResult:
    beside = copy.with_name(_beside(copy.name))
    with suppress(FileNotFoundError):
        beside.unlink()
    try:
        how = reflink(kept, beside)
        if how is Linked.REFLINK:
            os.chmod(beside, stat.S_IMODE(copy_as.st_mode))  # noqa: PTH101 (as os.utime)
            os.utime(beside, ns=(copy_as.st_atime_ns, copy_as.st_mtime_ns))
            if not _is(beside, None, copy_as.st_size):
                return LinkResult(Linked.DIFFERENT, copy, f"{kept} changed meanwhile")
        elif _rights(kept_as) != _rights(copy_as):
            detail = f"{copy} and {kept} have different owners or rights, which a hard link shares"
            return LinkResult(Linked.UNSUPPORTED, copy, detail)
        else:
            how = hard_link(kept, beside)
        if how is None:
            return LinkResult(Linked.UNSUPPORTED, copy, "the file system knows no links")
        if not (_is(kept, kept_as) and _is(copy, copy_as)):
            return LinkResult(Linked.DIFFERENT, copy, f"{copy} or {kept} changed meanwhile")
        beside.replace(copy)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    sync_folder(copy.parent)
    return LinkResult(how, copy, f"{how} of {kept}")


def _beside(name: str) -> str:
    stem = os.fsencode(name)[:200]
    return f".{os.fsdecode(stem)}{_SUFFIX}"


def _rights(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def _key(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _is(path: Path, then: os.stat_result | None, size: int = 0) -> bool:
    now = path.lstat()
    return now.st_size == size if then is None else _key(now) == _key(then)


def _same_bytes(
    kept: Path,
    copy: Path,
    kept_as: os.stat_result,
    copy_as: os.stat_result,
    progress: Callable[[int], None] | None,
    cancel: Event | None,
) -> bool:
    """Whether both are regular files, as they were, and have the same bytes all through."""
    for path, then in ((kept, kept_as), (copy, copy_as)):
        if not stat.S_ISREG(then.st_mode) or not _is(path, then):
            return False
    if kept_as.st_size != copy_as.st_size:
        return False
    one, other = bytearray(_BLOCK), bytearray(_BLOCK)
    done = 0
    with kept.open("rb", buffering=0) as first, copy.open("rb", buffering=0) as second:
        while count := _fill(first.readinto, one):
            stop_if(cancel)
            if _fill(second.readinto, other) != count:
                return False
            if memoryview(one)[:count] != memoryview(other)[:count]:
                return False
            done += count
            if progress is not None:
                progress(done)
        opened = (os.fstat(first.fileno()), os.fstat(second.fileno()))
    return done == kept_as.st_size and [*map(_key, opened)] == [_key(kept_as), _key(copy_as)]


def _fill(readinto: Callable[[memoryview], int | None], block: bytearray) -> int:
    filled = 0
    while filled < len(block) and (count := readinto(memoryview(block)[filled:])):
        filled += count
    return filled


def shares_blocks(one: Path, other: Path) -> bool:
    """Whether two files are reflinks of each other: all their extents lie in the same places.

    Linux' ``FS_IOC_FIEMAP`` (Documentation/filesystems/fiemap.rst); elsewhere, and for files of
    very many extents, the answer is no.
    """
    if sys.platform != "linux":
        return False
    extents = _extents(one)
    return bool(extents) and extents == _extents(other)


def _extents(path: Path) -> list[tuple[int, int, int]] | None:
    """Logical and physical place and length of each shared extent; None if not all are shared."""
    import fcntl
    import struct

    header, extent = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII")
    buffer = ctypes.create_string_buffer(header.size + _MOST_EXTENTS * extent.size)
    header.pack_into(buffer, 0, 0, 2**64 - 1, 0, 0, _MOST_EXTENTS, 0)
    try:
        with path.open("rb") as file:
            fcntl.ioctl(file.fileno(), _FIEMAP, buffer)
    except OSError:
        return None
    count = header.unpack_from(buffer)[3]
    if count >= _MOST_EXTENTS:
        return None
    found = []
    for number in range(count):
        row = extent.unpack_from(buffer, header.size + number * extent.size)
        logical, physical, length, flags = row[0], row[1], row[2], row[5]
        if not flags & _SHARED:
            return None
        found.append((logical, physical, length))
    return found
