"""Files given another path: renamed where that is possible, else copied, proven and removed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from modelhub.errors import DiskError, DiskFull, FileUnreadable, FolderNotWritable
from modelhub.services.organize.model import Step
from modelhub.whole_files import new_file, take_name, write_all

_BLOCK = 4 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


Pulse: TypeAlias = Callable[[int], None]
"""Called with the number of bytes whenever some were read; what it raises ends the move."""


def _steady(done: int) -> None:
    """Of moves that nobody watches or stops."""


class Taken(Exception):
    """Another file is at the target."""


def move(
    step: Step,
    *,
    hashes: dict[Path, str],
    again: bool = False,
    pulse: Pulse = _steady,
) -> bool:
    """Bring what is at the source to the target, which is never replaced.

    The target's folder is there. On another file system the copy is written without a name, read
    back from the disk and compared before it gets its name; only then is the source removed.

    :param hashes: the SHA256 that files are known to have, by their path at the source.
    :param again: this was begun before and cut off: a target with the same content is its own.
    :param pulse: told of bytes that were read for a copy, and read back: each byte counts twice.
    :returns: whether it was copied, so that it is another file to the system.
    :raises Taken: something else is at the target.
    :raises DiskError: the disk refused; the source is as it was.
    """
    try:
        if step.folder:
            return _move_folder(step, hashes, pulse, again=again)
        return _move_file(step.source, step.target, hashes.get(step.source), pulse, again=again)
    except OSError as error:
        raise _translated(error, step) from error


def _move_file(
    source: Path, target: Path, sha256: str | None, pulse: Pulse, *, again: bool
) -> bool:
    if again and os.path.lexists(target):
        if not _same_content(source, target, pulse):
            raise Taken(target)
        source.unlink()
        return True
    if _renamed(source, target):
        return False
    _copy(source, target, sha256, pulse)
    return True


def _renamed(source: Path, target: Path) -> bool:
    """Rename a file or a folder; False where they are on different file systems.

    :raises Taken: something is at the target.
    """
    try:
        take_name(source, target)
    except FileExistsError:
        raise Taken(target) from None
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def _move_folder(step: Step, hashes: dict[Path, str], pulse: Pulse, *, again: bool) -> bool:
    if not (again and os.path.lexists(step.target)):
        if _renamed(step.source, step.target):
            return False
        if os.path.lexists(step.target):
            raise Taken(step.target)
        step.target.mkdir()
    for source in list(_files_in(step.source)):
        target = step.target / source.relative_to(step.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        _move_file(source, target, hashes.get(source), pulse, again=True)
    _remove_empty(step.source)
    return True


def _files_in(folder: Path) -> Iterator[Path]:
    for top, _, names in os.walk(folder):
        for name in names:
            yield Path(top, name)


def _remove_empty(folder: Path) -> None:
    for top, _, _ in list(os.walk(folder, topdown=False)):
        with contextlib.suppress(OSError):
            Path(top).rmdir()


def _copy(source: Path, target: Path, sha256: str | None, pulse: Pulse) -> None:
    """Copy to another file system, prove the copy, and remove the source.

    :raises Taken: something is at the target.
    :raises FileUnreadable: the source changed, or is not what the catalog says.
    """
    before = source.stat()
    if before.st_size > shutil.disk_usage(target.parent).free:
        raise DiskFull(f"no room for {target}", hint="free some space on that disk")
    try:
        with source.open("rb", buffering=0) as original, new_file(target) as copy:
            written = _copied(original, copy, pulse)
            os.fsync(copy.fileno())
            if sha256 is not None and written != sha256.lower():
                raise FileUnreadable(
                    f"{source} is not what it was when it was hashed; it was left where it is",
                    hint="`modelhub verify` says more",
                )
            if _read_back(copy, pulse) != written:
                raise DiskError(f"the disk of {target} did not keep what was written to it")
            os.fchmod(copy.fileno(), stat.S_IMODE(before.st_mode))
            os.utime(copy.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
    except FileExistsError:
        raise Taken(target) from None
    if _facts(source.stat()) != _facts(before):
        target.unlink()
        raise FileUnreadable(f"{source} changed while it was copied; it was left where it is")
    source.unlink()


def _facts(of: os.stat_result) -> tuple[int, int, int]:
    return of.st_ino, of.st_size, of.st_mtime_ns


def _copied(original: BinaryIO, copy: BinaryIO, pulse: Pulse) -> str:
    digest = hashlib.sha256()
    while block := original.read(_BLOCK):
        pulse(len(block))
        digest.update(block)
        write_all(copy, block)
    return digest.hexdigest()


def _read_back(copy: BinaryIO, pulse: Pulse) -> str:
    """The SHA256 of what is on disk, not of what the system remembers of it."""
    own = isinstance(copy.name, int)
    descriptor = copy.fileno() if own else os.open(copy.name, os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        digest, at = hashlib.sha256(), 0
        while block := os.pread(descriptor, _BLOCK, at):
            pulse(len(block))
            digest.update(block)
            at += len(block)
        return digest.hexdigest()
    finally:
        if not own:
            os.close(descriptor)


def _same_content(one: Path, two: Path, pulse: Pulse) -> bool:
    if one.samefile(two):
        return True
    if one.stat().st_size != two.stat().st_size:
        return False
    with one.open("rb", buffering=0) as first, two.open("rb", buffering=0) as second:
        while block := first.read(_BLOCK):
            pulse(len(block))
            other = b""
            while len(other) < len(block) and (rest := second.read(len(block) - len(other))):
                other += rest
            if other != block:
                return False
    return True


def _translated(error: OSError, step: Step) -> DiskError:
    what = f"cannot move {step.source} to {step.target}: {error.strerror or error}"
    if error.errno in _FULL:
        return DiskFull(what, hint="free some space on that disk")
    if error.errno in _READ_ONLY:
        return FolderNotWritable(what, hint="check the owner and permissions of both folders")
    return DiskError(what)
