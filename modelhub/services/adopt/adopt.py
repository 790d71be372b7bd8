"""From a path that the user pointed at to roots of the catalog.

Nothing is written in the adopted folders: they are scanned where they are, and stay the other
tool's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.placement.adoption import Detected, Place, detect
from modelhub.progress import Listener, silent
from modelhub.services.listed import every_file
from modelhub.services.match.sidecars import SidecarReport, import_sidecars

if TYPE_CHECKING:
    import threading

    from modelhub.catalog import Catalog, FileRow, RootRow
    from modelhub.config import Config
    from modelhub.services.index import IndexReport


class Standing(StrEnum):
    """How a folder stands to the catalog."""

    NEW = "new"
    """It becomes a root."""
    KNOWN = "known"
    """It is one already."""
    COVERED = "covered"
    """It is inside of one, which is indexed with it."""
    ABSENT = "absent"
    """It was named, and is not there (or its disk is not mounted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """One folder that was found."""

    place: Place
    standing: Standing
    target: Path
    """The folder by the name under which the catalog knows it, or will."""
    within: Path | None = None
    """The root that it is, or that covers it."""


@dataclass(slots=True)
class AdoptReport:
    """What was found, and what was done with it."""

    detected: tuple[Detected, ...]
    folders: tuple[Adopted, ...]
    index: IndexReport | None = None
    """None for a dry run, and when there was nothing to index."""
    sidecars: SidecarReport = field(default_factory=SidecarReport)

    @property
    def targets(self) -> list[Path]:
        """The folders to index; a folder inside another one is indexed with that."""
        there = [one.target for one in self.folders if one.standing is not Standing.ABSENT]
        return [one for one in there if not any(other in one.parents for other in there)]


def adopt(
    paths: Sequence[Path],
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
    dry_run: bool = False,
    index: bool = True,
    hash: bool = True,
) -> AdoptReport:
    """Make roots of the folders that belong to what is at `paths`, index them, import sidecars.

    :param dry_run: only say what would be done; the catalog is not changed.
    :param index: read the files at once; else `modelhub index` does.
    :param hash: hash them too. Sidecars of files that are not hashed are imported later.
    :raises RootMissing, NotAFolder, UsageError: a path is nothing that can be adopted; nothing
        was changed.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    detected = tuple(detect(path) for path in paths)
    folders = tuple(_standings(detected, catalog.roots()))
    report = AdoptReport(detected, folders)
    if dry_run:
        return report
    _add_roots(catalog, folders)
    targets = report.targets
    if index and targets:
        from modelhub.services.index import index as index_roots

        report.index = index_roots(
            targets, config=config, catalog=catalog, listener=listener, cancel=cancel, hash=hash
        )
        report.sidecars = import_sidecars(_files(catalog, targets), catalog=catalog, cancel=cancel)
        report.sidecars.words += report.index.words
    return report


def _standings(detected: Sequence[Detected], roots: Sequence[RootRow]) -> Iterator[Adopted]:
    """Each folder once; one that is reached through a link is the folder that it leads to."""
    known = {_true(root.folder): root.folder for root in roots}
    coming: dict[Path, Place] = {}
    for place in (place for one in detected for place in one.places):
        coming.setdefault(_true(place.folder), place)
    for true, place in coming.items():
        if not place.folder.is_dir():
            yield Adopted(place=place, standing=Standing.ABSENT, target=place.folder)
        elif (outer := _nearest(true, known)) is not None:
            standing = Standing.KNOWN if outer == true else Standing.COVERED
            target = known[outer] / true.relative_to(outer)
            yield Adopted(place=place, standing=standing, target=target, within=known[outer])
        elif (outer := _nearest(true, coming.keys() - {true})) is not None:
            target = coming[outer].folder / true.relative_to(outer)
            within = coming[outer].folder
            yield Adopted(place=place, standing=Standing.COVERED, target=target, within=within)
        else:
            yield Adopted(place=place, standing=Standing.NEW, target=place.folder)


def _nearest(folder: Path, among: Collection[Path]) -> Path | None:
    """The innermost of `among` that is `folder` or around it."""
    return next((one for one in (folder, *folder.parents) if one in among), None)


def _true(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):
        return folder


def _add_roots(catalog: Catalog, folders: Sequence[Adopted]) -> None:
    with catalog.transaction():
        for one in folders:
            if one.standing is Standing.NEW:
                catalog.add_root(one.place.folder, layout=one.place.layout, watched=True)
            elif one.standing is Standing.KNOWN and one.within is not None:
                root = catalog.root(one.within)
                if root is not None and root.layout is None and one.place.layout is not None:
                    catalog.add_root(one.within, layout=one.place.layout, watched=root.watched)


def _files(catalog: Catalog, folders: Sequence[Path]) -> Iterator[FileRow]:
    """The files that the catalog knows below these folders."""
    for row in every_file(catalog):
        file = row.file
        if any(file.is_relative_to(folder) for folder in folders):
            yield row
