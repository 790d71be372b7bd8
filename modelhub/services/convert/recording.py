"""The result in the catalog: identified, hashed, linked to what it was made from, and described."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import BlobRecord, EventRecord, FileState, LocalFileRecord
from modelhub.errors import FileUnreadable, UnknownFile
from modelhub.formats.identify import identify
from modelhub.formats.reading import read_header, require_regular
from modelhub.progress import silent
from modelhub.services.index.contents import found_of

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog
    from modelhub.config import Config
    from modelhub.formats.hashes import ContentHashes

DELETED = "deleted"
"""The kind of the history's event for a source that was removed."""


def root_of(catalog: Catalog, path: Path) -> Path | None:
    """The innermost root that a file is in, or None."""
    where = path.absolute()
    roots = [row.folder for row in catalog.roots() if where.is_relative_to(row.folder)]
    return max(roots, key=lambda root: len(root.parts), default=None)


def record_result(
    catalog: Catalog,
    path: Path,
    hashes: ContentHashes,
    sources: Sequence[str],
    operation: str,
) -> bool:
    """Record a result and where it came from; whether it is in a root, and so is listed.

    What the user wrote on the first of `sources` (tags, rating, note, trigger words) is written on
    the result too, where nothing was written on it before.

    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    root = root_of(catalog, path)
    if root is None:
        return False
    header = read_header(path)
    found = found_of(header, identify(header, name=path.name))
    status = require_regular(path)
    with catalog.transaction():
        catalog.record_local_file(
            LocalFileRecord.of(root, path.absolute(), stat=status),
            blob=BlobRecord.of(found, hashes, status.st_size),
        )
        catalog.record_derived(hashes.sha256, sources, operation)
    _inherit(catalog, sources[0], hashes.sha256)
    return True


def _inherit(catalog: Catalog, source_sha256: str, sha256: str) -> None:
    # The catalog need not know the source: then nobody wrote about it either.
    with suppress(UnknownFile):
        catalog.copy_user_words(source_sha256, sha256)


def record_folder(
    catalog: Catalog,
    config: Config,
    folder: Path,
    sources: Sequence[str],
    operation: str,
    cancel: Event,
) -> bool:
    """The same of a diffusers folder, which `index` reads; its weights alone are hashed."""
    from modelhub.services.annotate import hash_first
    from modelhub.services.index import index

    if root_of(catalog, folder) is None:
        return False
    index([folder], config=config, catalog=catalog, cancel=cancel, hash=False)
    weights = sorted(folder.rglob("*.safetensors"))
    rows = [row for one in weights if (row := catalog.find_local_by_path(one)) is not None]
    hash_first(catalog, rows, listener=silent, cancel=cancel)
    for file in weights:
        row = catalog.find_local_by_path(file)
        if row is not None and row.sha256 is not None:
            catalog.record_derived(row.sha256, sources, operation)
            _inherit(catalog, sources[0], row.sha256)
    return bool(rows)


def delete_source(catalog: Catalog, source: Path, result: Path, sha256: str) -> None:
    """Remove a source whose result has been verified; it goes into the history.

    :raises FileUnreadable: it cannot be removed.
    :raises CatalogError: the catalog cannot be written to; the file is still there.
    """
    row = catalog.find_local_by_path(source)
    with catalog.transaction():
        if row is not None:
            catalog.set_state([row.id], FileState.MISSING)
        catalog.record_event(
            EventRecord(
                kind=DELETED,
                text=f"{source} deleted: {result.name} was made from it",
                sha256=sha256,
                local_file_id=row.id if row is not None else None,
                detail={"path": str(source), "result": str(result)},
            )
        )
        try:
            source.unlink()
        except OSError as error:
            raise FileUnreadable(
                f"{source} was converted, and cannot be deleted: {error.strerror}",
                hint="check the rights of its folder, or delete it yourself",
            ) from error
