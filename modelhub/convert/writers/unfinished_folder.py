"""Folders that appear under their name complete, and what a killed process leaves of one.

A folder cannot be without a name as a file can. It is made beside its target, hidden, with a
marker that its maker keeps locked. The lock ends with the process: the next one that makes a
folder of that name removes what it finds unlocked.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from modelhub.whole_files import sync_folder, take_name, temporary_beside

_MARKER = ".unfinished"


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, that is `target` once the block has ended without an error.

    Its files are the caller's to sync; the folders are synced here.

    :raises FileExistsError: the name is taken; nothing was changed.
    :raises OSError: the disk refused.
    """
    _remove_left_behind(target)
    folder = temporary_beside(target)
    folder.mkdir()
    try:
        with _locked(folder / _MARKER):
            yield folder
            (folder / _MARKER).unlink()
            for inner in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
                sync_folder(inner)
            if os.path.lexists(target):
                raise FileExistsError(target)
            take_name(folder, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind(target: Path) -> None:
    like = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for one in list(target.parent.iterdir()):
            if like.fullmatch(one.name) and not one.is_symlink() and (one / _MARKER).is_file():
                with contextlib.suppress(OSError), _locked(one / _MARKER):
                    shutil.rmtree(one, ignore_errors=True)


@contextlib.contextmanager
def _locked(marker: Path) -> Iterator[None]:
    """The marker, locked for as long as the block or the process lasts.

    :raises BlockingIOError: another process has locked it.
    """
    import fcntl

    with marker.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
