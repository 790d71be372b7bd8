"""The library's root and the folders in it: made when they may be, refused with the reason."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path, PurePosixPath

from modelhub.errors import DiskError, DiskFull, FolderNotWritable, NotAFolder, RootMissing

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def prepare_folder(root: Path, relative: PurePosixPath, *, create_root: bool = False) -> Path:
    """`root / relative`, there and writable.

    Folders below the root are made. Symbolic links in the path are followed, also out of the
    root: people keep `loras` on another disk that way, and only they can have put the link there.
    A link that leads nowhere is an unmounted disk, and is not filled in.

    :param relative: as :func:`modelhub.placement.layouts.place` gives it, without the file name.
    :param create_root: make the root too. For the default root only: a root that the user named
        and that is gone is more likely a disk that is not mounted.
    :raises RootMissing: the root is not there, or a link in the path leads nowhere.
    :raises NotAFolder: a file is in the way; the message names it.
    :raises FolderNotWritable: no permission, or the file system is read-only.
    :raises DiskFull: no room for a folder.
    :raises ValueError: `relative` is absolute or has `..` in it.
    """
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"not a path inside the root: {relative}")
    check_root(root, create=create_root)
    folder = root
    for part in relative.parts:
        folder = folder / part
        _step_into(folder)
    _probe(folder)
    return folder


def check_root(root: Path, *, create: bool = False) -> None:
    """Make sure that the root is a folder, and make it if `create` says so.

    :raises RootMissing, NotAFolder, FolderNotWritable, DiskFull: as :func:`prepare_folder`.
    """
    try:
        if root.is_dir():
            return
        if os.path.lexists(root) and not root.is_symlink():
            raise NotAFolder(
                f"the library folder {root} is a file", hint="set `library.root` to a folder"
            )
        if not create:
            raise RootMissing(
                f"the library folder {root} is not there",
                hint=f"mount its disk, or create it with `mkdir -p '{root}'`",
            )
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _translated(error, root) from error


def _step_into(folder: Path) -> None:
    try:
        if folder.is_dir():
            return
        if folder.is_symlink():
            raise RootMissing(
                f"{folder} is a link to {folder.readlink()}, which is not there",
                hint="mount that disk, or remove the link",
            )
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _translated(error, folder) from error


def _probe(folder: Path) -> None:
    """Write where the file will be written: permission bits tell nothing about mounts and ACLs."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _translated(error, folder) from error


def _translated(error: OSError, folder: Path) -> DiskError:
    if error.errno in _READ_ONLY:
        return FolderNotWritable(
            f"cannot write to {folder}: {error.strerror}",
            hint="check its owner and permissions, or choose another folder with --root",
        )
    if error.errno in _FULL:
        return DiskFull(f"no room in {folder}: {error.strerror}")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return NotAFolder(
            f"{_in_the_way(folder)} is a file, and a folder is needed there",
            hint="move it away, or choose another folder with --root",
        )
    return DiskError(f"cannot use the folder {folder}: {error.strerror}")


def _in_the_way(folder: Path) -> Path:
    """The first part of the path that is there and is no folder."""
    for candidate in (*reversed(folder.parents), folder):
        if os.path.lexists(candidate) and not candidate.is_dir():
            return candidate
    return folder
