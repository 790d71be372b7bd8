"""Where the trash is: a folder of each root, and in it one for each time that something was thrown
away::

    ROOT/loras/ink.safetensors    ROOT/.modelhub/trash/20240615-120000-1f2e/loras/ink.safetensors

So the path alone says where a file belongs, whatever becomes of the catalog; no index and no UI
looks into it; and files are only ever renamed, on their own disk.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.services.index.names import MODEL_INDEX, is_model_name

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

FOLDER = PurePosixPath(".modelhub", "trash")
KIND = "trashed"
"""The kind of the history's events."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was thrown away at once.

    :param bases: the folders in which it was; each holds a part of it in its trash.
    :param size: bytes of all its files.
    """

    name: str
    at: datetime
    bases: tuple[Path, ...]
    files: tuple[Path, ...]
    size: int


def new_batch() -> str:
    """The name of a batch that is made now; names sort by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def folder_of(base: Path, batch: str) -> Path:
    """The trash of one batch in the root `base`."""
    return base / FOLDER / batch


def batches_of(catalog: Catalog) -> list[Batch]:
    """What is in the trash, the latest first.

    :raises CatalogError: the catalog cannot be read.
    """
    found: dict[str, list[Path]] = {}
    for base in _bases(catalog):
        for name in _names_in(base / FOLDER):
            found.setdefault(name, []).append(base)
    return [_batch(name, bases) for name, bases in sorted(found.items(), reverse=True)]


def _bases(catalog: Catalog) -> list[Path]:
    """The roots; and folders that links lead to from them, of which the history tells."""
    bases = dict.fromkeys(root.folder for root in catalog.roots())
    for event in catalog.events(limit=1_000, kinds=[KIND]):
        base = event.detail.get("base")
        if isinstance(base, str):
            bases[Path(base)] = None
    return list(bases)


def _names_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [one.name for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _batch(name: str, bases: list[Path]) -> Batch:
    files, size = [], 0
    for base in bases:
        for path in files_in(folder_of(base, name)):
            files.append(path)
            try:
                size += path.lstat().st_size
            except OSError:
                continue
    return Batch(name, _time_of(name), tuple(bases), tuple(files), size)


def _time_of(name: str) -> datetime:
    try:
        return datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)


def files_in(folder: Path) -> Iterator[Path]:
    """All files below `folder`, links as themselves."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(top, name)


def wholes_in(folder: Path) -> Iterator[Path]:
    """What is brought back as it was thrown away: files, and diffusers folders as a whole."""
    for top, folders, names in os.walk(folder):
        if MODEL_INDEX in names and Path(top) != folder:
            folders.clear()
            yield Path(top)
            continue
        folders.sort()
        for name in sorted(names):
            yield Path(top, name)


def models_in(path: Path) -> Iterator[Path]:
    """The file itself; of a folder, the files in it that the catalog may know."""
    if not path.is_dir() or path.is_symlink():
        yield path
        return
    for file in files_in(path):
        if is_model_name(file.name):
            yield file
