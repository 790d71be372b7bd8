"""Content that is already on this disk, put at a second place without a second download.

A reflink is best: two files that share their blocks until one of them is changed (Btrfs, XFS,
bcachefs; Linux's `FICLONE`, see `ioctl_ficlone(2)`). A hard link is one file with two names.
Neither reaches another file system: there a copy is made, or nothing, as the caller says.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import sys
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelhub.errors import Cancelled, DiskError, DiskFull, FolderNotWritable, RootMissing
from modelhub.whole_files import new_file, sync_folder, write_all

_FICLONE = 0x40049409
_BLOCK = 4 << 20
_NO_REFLINK = (
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EINVAL,
    errno.EXDEV,
    errno.ENOSYS,
    errno.EPERM,
    errno.ETXTBSY,
)
_NO_HARD_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class Linked(StrEnum):
    """What was done, or why nothing was."""

    REFLINK = "reflink"
    HARD_LINK = "hard link"
    COPY = "copy"
    PRESENT = "present"
    """The target was there already, with this content."""
    TAKEN = "taken"
    """The target is there with other content; it was left alone."""
    DIFFERENT = "different"
    """The existing file is gone or no longer has the expected content."""
    UNSUPPORTED = "unsupported"
    """The file systems cannot link, and no copy was asked for."""


@dataclass(frozen=True, slots=True)
class LinkResult:
    """The outcome of :func:`same_content_at`; `detail` is a sentence for the user."""

    how: Linked
    target: Path
    detail: str

    @property
    def done(self) -> bool:
        """Whether the content is at the target now."""
        return self.how in (Linked.REFLINK, Linked.HARD_LINK, Linked.COPY, Linked.PRESENT)


def same_content_at(
    existing: Path,
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    trusted: bool = False,
    copy: bool = False,
    cancel: threading.Event | None = None,
) -> LinkResult:
    """Have the content of `existing` at `target` too. Nothing is ever replaced.

    :param existing: the file on disk that is said to have the content.
    :param sha256: the content's SHA256, hex digits of any case.
    :param size: its size in bytes, where known: spares reading a file that cannot be it.
    :param trusted: the caller has just hashed `existing`, or knows that it did not change since:
        it is not read again.
    :param copy: copy where the file systems cannot link.
    :param cancel: stops the reading and copying.
    :raises Cancelled: `cancel` was set; nothing is left behind.
    :raises DiskFull, FolderNotWritable, RootMissing, DiskError: the target's disk refused.
    """
    if not _is_content(existing, sha256, size, cancel, trusted=trusted):
        return LinkResult(
            Linked.DIFFERENT, target, f"{existing} is gone or has other content than recorded"
        )
    if os.path.lexists(target):
        return _at_taken_target(existing, target, sha256, size, cancel)
    try:
        how = reflink(existing, target) or hard_link(existing, target)
        if how is None and copy:
            how = _copy(existing, target, sha256, cancel)
    except FileExistsError:
        return _at_taken_target(existing, target, sha256, size, cancel)
    except OSError as error:
        raise translated(error, target) from error
    if how is None:
        return LinkResult(
            Linked.UNSUPPORTED, target, f"{existing} is on a disk that cannot be linked to from it"
        )
    if how is Linked.DIFFERENT:
        return LinkResult(how, target, f"{existing} changed while it was copied")
    return LinkResult(how, target, f"{how} of {existing}")


def _at_taken_target(
    existing: Path, target: Path, sha256: str, size: int | None, cancel: threading.Event | None
) -> LinkResult:
    with contextlib.suppress(OSError):
        if target.samefile(existing):
            return LinkResult(Linked.PRESENT, target, f"the same file as {existing}")
    if _is_content(target, sha256, size, cancel, trusted=False):
        return LinkResult(Linked.PRESENT, target, f"{target} has the same content")
    return LinkResult(Linked.TAKEN, target, f"{target} has other content and was left alone")


def _is_content(
    path: Path, sha256: str, size: int | None, cancel: threading.Event | None, *, trusted: bool
) -> bool:
    try:
        if not path.is_file() or (size is not None and path.stat().st_size != size):
            return False
        return trusted or hmac.compare_digest(_sha256_of(path, cancel), sha256.lower())
    except OSError:
        return False


def _sha256_of(path: Path, cancel: threading.Event | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            stop_if(cancel)
            digest.update(block)
    return digest.hexdigest()


class _CannotReflink(Exception):
    pass


def reflink(existing: Path, target: Path) -> Linked | None:
    """Make `target` share the blocks of `existing`; None where the file system cannot.

    :raises FileExistsError: `target` is there.
    :raises OSError: the disk refused.
    """
    if sys.platform != "linux":
        return None
    import fcntl

    try:
        with existing.open("rb") as source, new_file(target) as clone:
            try:
                fcntl.ioctl(clone.fileno(), _FICLONE, source.fileno())
            except OSError as error:
                if error.errno in _NO_REFLINK:
                    raise _CannotReflink from error
                raise
            then = os.fstat(source.fileno())
            os.utime(clone.fileno(), ns=(then.st_atime_ns, then.st_mtime_ns))
    except _CannotReflink:
        return None
    return Linked.REFLINK


def hard_link(existing: Path, target: Path) -> Linked | None:
    """Make `target` another name of `existing`; None where the file system cannot.

    :raises FileExistsError: `target` is there.
    :raises OSError: the disk refused.
    """
    try:
        target.hardlink_to(existing.resolve())
    except OSError as error:
        if error.errno in _NO_HARD_LINK:
            return None
        raise
    sync_folder(target.parent)
    return Linked.HARD_LINK


class _NotTheContent(Exception):
    pass


def _copy(existing: Path, target: Path, sha256: str, cancel: threading.Event | None) -> Linked:
    """Copy, hashing what is read: what arrives is proven, not what was there before."""
    digest = hashlib.sha256()
    try:
        with existing.open("rb", buffering=0) as source, new_file(target) as clone:
            while block := source.read(_BLOCK):
                stop_if(cancel)
                digest.update(block)
                write_all(clone, block)
            if not hmac.compare_digest(digest.hexdigest(), sha256.lower()):
                raise _NotTheContent
    except _NotTheContent:
        return Linked.DIFFERENT
    return Linked.COPY


def stop_if(cancel: threading.Event | None) -> None:
    """Stop what compares or copies files.

    :raises Cancelled: `cancel` was set.
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled("stopped while comparing files on disk")


def translated(error: OSError, target: Path) -> DiskError:
    """What the disk refused while `target` was made, as an error of modelhub."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no room for {target}: {error.strerror}")
    if error.errno in (errno.EACCES, errno.EROFS):
        return FolderNotWritable(f"cannot write {target}: {error.strerror}")
    if error.errno == errno.ENOENT:
        return RootMissing(f"the folder of {target} is gone", hint="is its disk still mounted?")
    return DiskError(f"cannot link {target}: {error.strerror}")
