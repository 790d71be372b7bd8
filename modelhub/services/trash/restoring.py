"""Out of the trash: back to where it was, or gone for good."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelhub.disk import disk_errors, move_without_replacing
from modelhub.errors import ModelhubError, NameTaken, NotFoundError
from modelhub.placement.roots import prepare_folder
from modelhub.services.trash.places import Batch, batches_of, folder_of, models_in, wholes_in

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

LAST = "last"


@dataclass(slots=True)
class RestoreReport:
    """What came back; and why something did not, which stays in the trash."""

    batch: str
    restored: list[Path] = field(default_factory=list)
    failed: list[ModelhubError] = field(default_factory=list)


def restore(catalog: Catalog, which: str = LAST) -> RestoreReport:
    """Move a batch back to where its files were; nothing there is ever replaced.

    :param which: the name of a batch, or `last`.
    :raises NotFoundError: there is no such batch.
    :raises CatalogError: the catalog cannot be read.
    """
    batch = _named(catalog, which)
    report = RestoreReport(batch.name)
    for base in batch.bases:
        folder = folder_of(base, batch.name)
        for source in list(wholes_in(folder)):
            try:
                report.restored.append(_put_back(catalog, base, folder, source))
            except ModelhubError as error:
                report.failed.append(error)
        _remove_empty(folder)
    return report


def empty(catalog: Catalog, names: Sequence[str]) -> int:
    """Delete batches for good; the bytes that this freed.

    :raises NotFoundError: there is no such batch.
    :raises DiskError: a file cannot be deleted.
    """
    freed = 0
    for batch in [_named(catalog, name) for name in names]:
        for path in batch.files:
            with disk_errors(path):
                size = path.lstat().st_size
                path.unlink()
            freed += size
        for base in batch.bases:
            _remove_empty(folder_of(base, batch.name))
    return freed


def _named(catalog: Catalog, which: str) -> Batch:
    found = batches_of(catalog)
    if which == LAST and found:
        return found[0]
    for batch in found:
        if batch.name == which:
            return batch
    what = "the trash is empty" if which == LAST else f"nothing in the trash is called {which!r}"
    raise NotFoundError(what, hint="`modelhub trash list` shows what is there")


def _put_back(catalog: Catalog, base: Path, folder: Path, source: Path) -> Path:
    relative = source.relative_to(folder)
    target = base / relative
    prepare_folder(base, PurePosixPath(*relative.parent.parts))
    try:
        move_without_replacing(source, target)
    except FileExistsError:
        hint = f"move that away first; it waits as {source}"
        raise NameTaken(f"{target} is there already", hint=hint) from None
    for path in models_in(target):
        _record(catalog, path)
    return target


def _record(catalog: Catalog, path: Path) -> None:
    """Have the catalog follow. Where it cannot, the next index finds the file by itself."""
    from modelhub.catalog import EventRecord, FileState

    row = catalog.find_local_by_path(path)
    if row is None:
        return
    state = FileState.HASHED if row.sha256 is not None else FileState.NEW
    with contextlib.suppress(ModelhubError), catalog.transaction():
        catalog.set_state([row.id], state)
        catalog.record_event(
            EventRecord(
                kind="restored",
                text=f"back from the trash: {path}",
                sha256=row.sha256,
                local_file_id=row.id,
            )
        )


def _remove_empty(folder: Path) -> None:
    for top, _, _ in list(os.walk(folder, topdown=False)):
        with contextlib.suppress(OSError):
            Path(top).rmdir()
