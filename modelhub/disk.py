"""What the disk can do and refuse: free space, reservation, renaming, and its errors in words."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from modelhub.errors import (
    DiskError,
    DiskFull,
    FolderNotWritable,
    NameTaken,
    NotAFolder,
    RootMissing,
)

_NO_SUCH_CALL = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RESERVE_STEP = 64 << 20


def gib(size: int) -> str:
    """`size` bytes as people compare it with their disks."""
    return f"{size / (1 << 30):.2f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"


def in_words(error: OSError, path: Path, *, when_full: str | None = None) -> DiskError:
    """The error for the user that `error`, met at `path`, stands for.

    :param when_full: the hint of a disk that is full.
    """
    number = error.errno
    if number == errno.ENOSPC:
        return DiskFull(f"the disk of {path} is full", hint=when_full)
    if number == errno.EDQUOT:
        return DiskFull(f"the disk quota for {path} is used up", hint=when_full)
    if number == errno.EFBIG:
        return DiskError(
            f"{path} would be larger than its file system or a limit of this session allows",
            hint="FAT32 holds files up to 4 GiB; `ulimit -f` shows the limit of the session",
        )
    if number == errno.EROFS:
        return FolderNotWritable(f"{path} is on a file system that is mounted read-only")
    if number in (errno.EACCES, errno.EPERM):
        return FolderNotWritable(
            f"no permission to write {path}", hint="check the owner and mode of its folder"
        )
    if number in (errno.ENOTDIR, errno.EEXIST):
        return NotAFolder(f"a part of the path {path} is no folder")
    if number == errno.ENOENT:
        return RootMissing(f"the folder of {path} is gone", hint="is its disk still mounted?")
    if number in (errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return NameTaken(f"{path} cannot be used as a file: {error.strerror}")
    if number == errno.EIO:
        return DiskError(
            f"the disk reports an error at {path}", hint="look at `dmesg` and the disk's health"
        )
    return DiskError(f"{path}: {error.strerror or error}")


@contextlib.contextmanager
def disk_errors(path: Path, *, when_full: str | None = None) -> Iterator[None]:
    """Translate every OSError of the block into the error for the user."""
    try:
        yield
    except OSError as error:
        raise in_words(error, path, when_full=when_full) from error


def require_space(
    folder: Path, needed: int, min_free: int = 0, *, when_full: str | None = None
) -> None:
    """Check that `needed` more bytes fit, with `min_free` left over.

    :raises DiskFull: they do not.
    """
    with disk_errors(folder):
        disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free - needed < min_free:
        keep = f", and {gib(min_free)} are to stay free" if min_free else ""
        raise DiskFull(
            f"{folder}: {gib(needed)} are needed, {gib(free)} are free{keep}", hint=when_full
        )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def linux_call(name: str) -> Callable[..., int] | None:
    """A function of the C library, where the system is Linux and its library has it."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(_libc(), name, None)


def reserve(handle: int, size: int, between: Callable[[], None] = lambda: None) -> bool:
    """Give the open file `size` bytes of real space; whether the file system can do that.

    Where it cannot, the file only gets its length. Never glibc's ``posix_fallocate``, which
    writes the whole file where the file system has no such call.

    :param between: called before each 64 MiB, which take a moment where they must be cleared;
        what it raises ends the reservation.
    :raises OSError: there is not enough space.
    """
    fallocate = linux_call("fallocate")
    if fallocate is None:
        os.ftruncate(handle, size)
        return False
    for start in range(0, size, _RESERVE_STEP):
        between()
        length = min(_RESERVE_STEP, size - start)
        if fallocate(handle, 0, ctypes.c_int64(start), ctypes.c_int64(length)):
            number = ctypes.get_errno()
            if number not in _NO_SUCH_CALL:
                raise OSError(number, os.strerror(number))
            os.ftruncate(handle, size)
            return False
    return True


def rename_without_replacing(source: Path, target: Path) -> None:
    """Rename a file or folder, or fail when `target` exists: by the kernel where it can, else by a
    hard link.

    :raises FileExistsError: the name is taken.
    """
    renameat2 = linux_call("renameat2")
    if renameat2 is not None:
        result = renameat2(
            _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE
        )
        if result == 0:
            return
        number = ctypes.get_errno()
        if number not in _NO_SUCH_CALL:
            raise OSError(number, os.strerror(number), str(target))
    _rename_by_link(source, target)


def move_without_replacing(source: Path, target: Path) -> None:
    """The same, told in words where the disk refuses, and lasting when it returns.

    :raises FileExistsError: the name is taken; everything is as it was.
    :raises DiskError: the disk refuses.
    """
    try:
        rename_without_replacing(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        raise in_words(error, target) from error
    with disk_errors(target):
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


def _rename_by_link(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        # A folder has no second link, and a rename replaces none that holds anything.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL | {errno.EPERM, errno.EMLINK}:
            raise
        # FAT and friends have no links: an empty file of our own reserves the name.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        source.replace(target)
    else:
        source.unlink()


def sync_file(path: Path) -> None:
    """Force the file's bytes to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Force the folder's names to the disk, where the file system lets folders be synced."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL | {errno.EACCES}:
            raise
