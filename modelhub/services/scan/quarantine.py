"""Quarantine: a hidden folder of the root, in which no UI and no index looks for models.

A file keeps its place below the root in there, and gets a suffix that no program takes for a
model's::

    ROOT/checkpoints/evil.ckpt    ROOT/.modelhub/quarantine/checkpoints/evil.ckpt.quarantined

So its path alone says where it belongs, whatever becomes of the catalog. Files are only ever
renamed, and never replace another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.disk import move_without_replacing
from modelhub.errors import ModelhubError, NameTaken, UsageError
from modelhub.formats.reading import require_regular
from modelhub.placement.names import free_variant, split_name
from modelhub.placement.roots import prepare_folder

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileState

HIDDEN = ".modelhub"
"""The folder of a root that is modelhub's own."""
FOLDER = PurePosixPath(HIDDEN, "quarantine")
SUFFIX = ".quarantined"
_ATTEMPTS = 1_000


def base_of(root: Path, folder: Path) -> Path:
    """The folder in which a file of `folder` is quarantined: the root, or `folder` itself where a
    link leads from the root to another disk, to which nothing can be renamed."""
    below = folder == root or folder.is_relative_to(root)
    same_disk = root.stat().st_dev == folder.stat().st_dev
    return root if below and same_disk else folder


def is_quarantined(path: Path) -> bool:
    """Whether a path is that of a file in quarantine."""
    return path.name.endswith(SUFFIX) and _split(path) is not None


def original_of(path: Path) -> Path:
    """Where a file in quarantine belongs.

    :raises UsageError: it is in none.
    """
    parts = _split(path)
    if parts is None or not path.name.endswith(SUFFIX):
        raise UsageError(
            f"{path} is not in quarantine", hint="`modelhub list state:quarantined` shows what is"
        )
    base, relative = parts
    return base / relative.with_name(relative.name.removesuffix(SUFFIX))


def _split(path: Path) -> tuple[Path, PurePosixPath] | None:
    """The folder that a quarantine is in, and a path inside that quarantine."""
    mark = FOLDER.parts
    for at in range(len(path.parts) - len(mark) - 1, -1, -1):
        if path.parts[at : at + len(mark)] == mark:
            return Path(*path.parts[:at]), PurePosixPath(*path.parts[at + len(mark) :])
    return None


def put_away(base: Path, original: Path, rename: Callable[[Path], None]) -> Path:
    """Have a file renamed to its place in quarantine, or to a free variant of it.

    :param original: where it is, or would be; in `base`.
    :param rename: renames it to a path; raises FileExistsError where that is taken.
    :raises NameTaken: every variant is in use.
    :raises DiskError: the folder cannot be made.
    """
    relative = PurePosixPath(FOLDER, *original.relative_to(base).parts)
    folder = prepare_folder(base, relative.parent)
    for name in _variants(relative.name):
        try:
            rename(folder / f"{name}{SUFFIX}")
        except FileExistsError:
            continue
        return folder / f"{name}{SUFFIX}"
    raise NameTaken(f"names in {folder} are taken faster than they are found")


def _variants(name: str) -> Iterator[str]:
    yield name
    stem, extension = split_name(name)
    for number in range(2, _ATTEMPTS):
        yield f"{stem} ({number}){extension}"


def quarantine_file(catalog: Catalog, path: Path) -> Path:
    """Move a file into the quarantine of its root, or of its folder where it is in no root.

    :returns: where it is now.
    :raises FileUnreadable: it is not there, or no regular file.
    :raises UsageError: it is in quarantine, or a part of a model in several files.
    :raises DiskError: the disk refuses.
    """
    from modelhub.catalog import FileState, decode_path

    path = Path(os.path.normpath(path.absolute()))
    if is_quarantined(path):
        raise UsageError(f"{path} is in quarantine already", hint="")
    require_regular(path)
    row = catalog.find_local_by_path(path)
    if row is not None and (row.file != path or row.parts > 1):
        raise UsageError(
            f"{path} is a part of a model in several files", hint="move its folder away yourself"
        )
    root = decode_path(row.root) if row is not None else path.parent
    base = base_of(root, path.parent)
    there = put_away(base, path, lambda target: move_without_replacing(path, target))
    number = None if row is None else row.id
    _recorded(catalog, number, root, path, there, FileState.QUARANTINED)
    return there


def release_file(catalog: Catalog, path: Path) -> Path:
    """Move a file out of quarantine, to where it was or would have been put.

    :returns: where it is now: there, or under a free variant of that name.
    :raises UsageError: it is not in quarantine.
    :raises FileUnreadable: it is not there.
    :raises DiskError: the disk refuses.
    """
    from modelhub.catalog import FileState, decode_path

    path = Path(os.path.normpath(path.absolute()))
    target = original_of(path)
    require_regular(path)
    base, relative = _split(path) or (target.parent, PurePosixPath())
    folder = prepare_folder(base, relative.parent)
    row = catalog.find_local_by_path(path)
    while True:
        there = folder / free_variant(folder, target.name)
        try:
            move_without_replacing(path, there)
            break
        except FileExistsError:
            continue
    hashed = row is not None and row.sha256 is not None
    state = FileState.HASHED if hashed else FileState.NEW
    root = decode_path(row.root) if row is not None else base
    _recorded(catalog, None if row is None else row.id, root, path, there, state)
    return there


def _recorded(
    catalog: Catalog, file_id: int | None, root: Path, before: Path, now: Path, state: FileState
) -> None:
    """Have the catalog follow; where it cannot, the file goes back to where it was."""
    from modelhub.catalog import EventRecord

    if file_id is None:
        return
    kind = "quarantined" if state == "quarantined" else "released"
    try:
        with catalog.transaction():
            catalog.record_moved(file_id, root=root, path=now.relative_to(root))
            catalog.set_state([file_id], state)
            catalog.record_event(
                EventRecord(
                    kind=kind,
                    text=f"{kind}: {now}",
                    sha256=None,
                    local_file_id=file_id,
                    detail={"from": str(before), "to": str(now)},
                )
            )
    except ModelhubError:
        move_without_replacing(now, before)
        raise
