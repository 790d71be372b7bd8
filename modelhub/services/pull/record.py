"""The last stage: the file and all that was published about it, into the catalog at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import BlobRecord, EventRecord, Found, LocalFileRecord
from modelhub.errors import FileUnreadable
from modelhub.services.index.contents import found_in
from modelhub.services.published import file_records, model_record, version_record

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileState
    from modelhub.formats.hashes import ContentHashes
    from modelhub.placement.preview_fetch import PreviewResult
    from modelhub.services.index.contents import Pickles
    from modelhub.services.pull.plan import Plan


def record(
    catalog: Catalog,
    plan: Plan,
    path: Path,
    hashes: ContentHashes,
    *,
    happened: str | None,
    verified_by: str | None,
    found: Found | None,
    state: FileState | None = None,
) -> None:
    """Record the file at `path` as what `plan` says that it is.

    :param happened: one line for the history; None when nothing happened.
    :param found: what is in it; None where that could not be read.
    :param state: `FileState.QUARANTINED`, or None for a file in its place.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    version = plan.resolved.version
    stat = path.stat()
    root = plan.root if path.is_relative_to(plan.root) else path.parent
    with catalog.transaction():
        model = model_record(plan.resolved.model, version)
        if model is not None:
            catalog.record_published(
                model, [version_record(version, model.id)], file_records(version.value)
            )
        file_id = catalog.record_local_file(
            LocalFileRecord.of(root, path, stat=stat, state=state),
            blob=BlobRecord.of(found, hashes, stat.st_size),
            remote_file_id=plan.file.id if model is not None else None,
            version_id=version.value.id if model is not None else None,
        )
        if happened is not None:
            catalog.record_event(
                EventRecord(
                    kind="pulled" if state is None else state.value,
                    text=happened,
                    sha256=hashes.sha256,
                    local_file_id=file_id,
                    version_id=version.value.id,
                    detail={
                        "file": plan.file.id,
                        "verified_by": verified_by,
                        "reason": plan.reason,
                    },
                )
            )


def record_preview(catalog: Catalog, plan: Plan, preview: PreviewResult | None) -> None:
    """Record where the copy of the version's preview image is.

    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    version = plan.resolved.version
    model = model_record(plan.resolved.model, version)
    if model is None or preview is None or preview.path is None or preview.source is None:
        return
    described = version_record(version, model.id, preview=preview.path, source=preview.source)
    catalog.record_published(model, [described])


def identified(path: Path, pickles: Pickles | None = None, *, name: str = "") -> Found | None:
    """What the file's tensors and pickles say; None for one that cannot be read.

    :param pickles: what a scan found, where there was one.
    :param name: under which it was published, where it has another.
    """
    try:
        return found_in(path, pickles, name=name)
    except FileUnreadable:
        return None
