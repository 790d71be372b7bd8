"""Files written whole or not at all, and names taken without ever replacing anything."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
_BLOCK = 4 << 20
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


class Changed(Exception):
    """The file that was to be replaced is no longer the one that was read."""


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write, unbuffered, that is `target` once the block has ended without an error.

    It is on disk by then, and never replaces anything. On Linux it has no name before
    (`O_TMPFILE`), so that a killed process leaves nothing; elsewhere it is a hidden file beside.
    What was written can be read again within the block, to see whether it is worth its name.

    :raises FileExistsError: the name is taken; nothing was changed.
    :raises OSError: the disk refused.
    """
    handle = _open_unnamed(target.parent)
    if handle is None:
        with _named(target) as file:
            yield file
    else:
        with os.fdopen(handle, "w+b", 0) as file:
            yield file
            os.fsync(handle)
            _give_name(handle, target)
    sync_folder(target.parent)


def meanwhile(file: BinaryIO) -> Path:
    """Where a file of :func:`new_file` can be opened to be read, as long as its block lasts."""
    # The number of its descriptor where it has no name yet.
    return Path(f"/proc/self/fd/{file.name}" if isinstance(file.name, int) else file.name)


def create_file(path: Path, data: bytes) -> None:
    """Write `data` to a new file, which appears under its name complete and on disk.

    :raises FileExistsError: the name is taken; nothing was changed.
    :raises OSError: the disk refused.
    """
    with new_file(path) as file:
        write_all(file, data)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`: an unbuffered file may take it in parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def replace_file(path: Path, data: bytes, *, read_as: os.stat_result) -> None:
    """Put `data` in the place of the file that was read, which keeps its permissions.

    :param read_as: what `stat` said of the file when it was read.
    :raises Changed: someone wrote to it since; nothing was changed.
    :raises OSError: the disk refused; the file is as it was.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb", 0) as file:
            write_all(file, data)
            os.fchmod(file.fileno(), stat.S_IMODE(read_as.st_mode))
            os.fsync(file.fileno())
        now = path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (
            read_as.st_ino,
            read_as.st_size,
            read_as.st_mtime_ns,
        ):
            raise Changed(path)
        temporary.replace(path)
    finally:
        _remove(temporary)
    sync_folder(path.parent)


def take_name(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`, unless that is taken.

    Linux renames without replacing in one step; elsewhere a hard link claims the name first. On a
    file system with neither, the name is checked and then taken.

    :raises FileExistsError: `target` is taken.
    """
    if _rename_without_replacing(temporary, target):
        return
    try:
        target.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.rename(target)
        return
    temporary.unlink()


def temporary_beside(path: Path) -> Path:
    """A fresh hidden name in the folder of `path`, at most 255 bytes."""
    stem = path.name.encode()[:200].decode(errors="ignore")
    return path.with_name(f".{stem}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _open_unnamed(folder: Path) -> int | None:
    """A file in `folder` without a name, or `None` where there is no such thing."""
    if sys.platform != "linux" or not Path("/proc/self/fd").is_dir():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_UNNAMED_FILES:
            return None
        raise


def _give_name(handle: int, target: Path) -> None:
    """`linkat(2)` by the descriptor; Python follows the link in /proc only with a `dir_fd`."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{handle}", target.name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        with _named(target) as file:
            os.lseek(handle, 0, os.SEEK_SET)
            while block := os.read(handle, _BLOCK):
                write_all(file, block)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _named(target: Path) -> Iterator[BinaryIO]:
    temporary = temporary_beside(target)
    try:
        with temporary.open("x+b", 0) as file:
            yield file
            os.fsync(file.fileno())
        take_name(temporary, target)
    finally:
        _remove(temporary)


def _remove(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def _rename_without_replacing(source: Path, target: Path) -> bool:
    """Linux's `renameat2(RENAME_NOREPLACE)`; `False` where system or file system lack it."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return False
    result = rename(
        _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE
    )
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), str(target))
