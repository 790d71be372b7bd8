"""Gives a fetched file its final name, or gives it up."""

from __future__ import annotations

from pathlib import Path

from modelhub.disk import disk_errors, move_without_replacing, sync_file
from modelhub.transfer.locks import let_go
from modelhub.transfer.partial import PartialPaths


def commit(partial: Path, target: Path) -> None:
    """Make `partial` the file `target`, durably, without ever replacing anything.

    The bytes are on the disk before the name is, and the name is when this returns. Journal and
    lock go away. Both paths must be on one file system.

    :raises FileExistsError: the name is taken; everything is as it was, and `commit` may be
        called again with another name.
    :raises DiskError: the disk refuses; the partial file is still there and still locked.
    """
    paths = PartialPaths.beside(partial)
    with disk_errors(target):
        sync_file(partial)
    move_without_replacing(partial, target)
    with disk_errors(target):
        # Last: were the new name lost in a power cut, the old one would need it.
        paths.journal.unlink(missing_ok=True)
    let_go(paths)


def discard(partial: Path) -> None:
    """Remove a fetched file that is not wanted after all, with its journal and lock.

    :raises DiskError: the disk refuses.
    """
    paths = PartialPaths.beside(partial)
    with disk_errors(partial):
        paths.remove()
    let_go(paths)


def release(partial: Path) -> None:
    """Leave a fetched file as it is, for a later call of `download`, and give its lock up."""
    let_go(PartialPaths.beside(partial))
