"""Into the trash: a model with what belongs to it, renamed, and followed by the catalog."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.disk import move_without_replacing
from modelhub.errors import FileUnreadable, ModelhubError, NameTaken, UsageError
from modelhub.placement.roots import prepare_folder
from modelhub.services.listed import model_path
from modelhub.services.organize.beside import FolderOfModels
from modelhub.services.scan.quarantine import base_of, is_quarantined
from modelhub.services.trash.places import FOLDER, KIND, models_in, new_batch

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow


@dataclass(slots=True)
class TrashReport:
    """What was thrown away.

    :param batch: its name, by which :func:`restore` finds it.
    :param moved: where the models were.
    :param failed: why others stayed.
    """

    batch: str
    moved: list[Path] = field(default_factory=list)
    failed: list[ModelhubError] = field(default_factory=list)


def trash(catalog: Catalog, file_ids: Sequence[int]) -> TrashReport:
    """Move models to the trash of their roots, with shards, sidecars and previews; a diffusers
    folder as a whole.

    What the user wrote about them stays, and they are listed as missing. One that cannot be moved
    stays where it is, and the others go on.

    :raises CatalogError: the catalog cannot be read.
    """
    report = TrashReport(new_batch())
    for row in catalog.rows(file_ids):
        try:
            _throw(catalog, row, report.batch)
        except ModelhubError as error:
            report.failed.append(error)
        else:
            report.moved.append(row.file)
    return report


def _throw(catalog: Catalog, row: FileRow, batch: str) -> None:
    path, root = model_path(row), _root_of(row)
    if is_quarantined(path):
        raise UsageError(f"{path} is in quarantine", hint="release it first, or delete it yourself")
    if not os.path.lexists(row.file):
        raise FileUnreadable(f"{row.file} is not there", hint="`modelhub index` takes notice of it")
    if path == root:
        raise UsageError(f"{path} is a root itself", hint="`modelhub root remove` takes it out")
    base = base_of(root, path.parent)
    beside = [] if row.format == "diffusers" else _belonging(path)
    moves = [(one, _target(base, one, batch)) for one in (path, *beside)]
    models = list(models_in(path))
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            _move(source, target)
            done.append((source, target))
        _record(catalog, row, base, batch, [*models, *beside])
    except ModelhubError:
        for source, target in reversed(done):
            move_without_replacing(target, source)
        raise


def _root_of(row: FileRow) -> Path:
    from modelhub.catalog import decode_path

    return decode_path(row.root)


def _belonging(path: Path) -> list[Path]:
    """Shards, and what is told apart by the model's name alone, unless another model shares it."""
    beside = FolderOfModels(path.parent).beside(path.name)
    if beside.downloading:
        raise UsageError(f"{path} is being downloaded", hint="cancel the download first")
    names = (*beside.shards, *(() if beside.rivals else beside.companions))
    return [path.with_name(name) for name in names]


def _target(base: Path, path: Path, batch: str) -> Path:
    relative = PurePosixPath(FOLDER, batch, *path.relative_to(base).parts)
    return prepare_folder(base, relative.parent) / relative.name


def _move(source: Path, target: Path) -> None:
    try:
        move_without_replacing(source, target)
    except FileExistsError:
        raise NameTaken(f"{target} is there already") from None


def _record(catalog: Catalog, row: FileRow, base: Path, batch: str, files: list[Path]) -> None:
    from modelhub.catalog import EventRecord, FileState

    with catalog.transaction():
        catalog.set_state(_ids_of(catalog, files), FileState.MISSING)
        catalog.record_event(
            EventRecord(
                kind=KIND,
                text=f"moved to the trash: {row.file}",
                sha256=row.sha256,
                local_file_id=row.id,
                detail={"batch": batch, "base": str(base), "files": [str(one) for one in files]},
            )
        )


def _ids_of(catalog: Catalog, files: list[Path]) -> list[int]:
    rows = [catalog.find_local_by_path(one) for one in files]
    return [row.id for row in rows if row is not None]
