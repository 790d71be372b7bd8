"""Which roots, and which parts of them, a run looks at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import FolderNotWritable, NotAFolder, RootMissing, UsageError
from modelhub.services.index.walk import Scope

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.showing import RootRow
    from modelhub.config import Config


@dataclass(slots=True)
class Place:
    """A root, and what is to be looked at in it."""

    row: RootRow
    scopes: list[Scope] = field(default_factory=list)
    added: bool = False

    @property
    def root(self) -> Path:
        """The root's folder, absolute."""
        return self.row.folder


def chosen(catalog: Catalog, config: Config, targets: Sequence[Path]) -> list[Place]:
    """The places that `targets` name; all roots where there are none, and the library's root where
    there is no root at all. A folder outside every root becomes one.

    :raises RootMissing: a target, or the library's root, is not there.
    :raises UsageError: a target is a file outside every root.
    """
    if not targets:
        rows = catalog.roots()
        if rows:
            return [Place(row, [Scope()]) for row in rows]
        from modelhub.config.paths import library_root

        return [_new_place(catalog, library_root(config))]
    places: dict[int, Place] = {}
    for target in targets:
        place = _place_of(catalog, target)
        known = places.setdefault(place.row.id, place)
        if known is not place:
            known.scopes += place.scopes
    for place in places.values():
        place.scopes = _widest(place.scopes)
    return list(places.values())


def add_root(catalog: Catalog, folder: Path, *, layout: str | None, watched: bool) -> RootRow:
    """Make a folder a root.

    :raises RootMissing: it is not there.
    :raises NotAFolder: it is none.
    :raises FolderNotWritable: it cannot be listed.
    """
    folder = Path(os.path.normpath(folder.expanduser().absolute()))
    _check(folder)
    catalog.add_root(folder, layout=layout, watched=watched)
    row = catalog.root(folder)
    assert row is not None
    return row


def _check(folder: Path) -> None:
    try:
        with os.scandir(folder):
            return
    except FileNotFoundError:
        raise RootMissing(
            f"the folder {folder} is not there", hint="check its name, or mount its disk"
        ) from None
    except NotADirectoryError:
        raise NotAFolder(f"{folder} is no folder", hint="a root is a folder") from None
    except OSError as error:
        raise FolderNotWritable(f"cannot list {folder}: {error.strerror}") from error


def _new_place(catalog: Catalog, folder: Path) -> Place:
    return Place(add_root(catalog, folder, layout=None, watched=True), [Scope()], added=True)


def _place_of(catalog: Catalog, target: Path) -> Place:
    path = Path(os.path.normpath(target.expanduser().absolute()))
    rows = catalog.roots()
    for spelling in (path, Path(os.path.realpath(path))):
        around = [row for row in rows if spelling.is_relative_to(row.folder)]
        if around:
            row = max(around, key=lambda one: len(one.path))
            return Place(row, [_scope(row.folder, spelling)])
    if path.exists() and not path.is_dir():
        raise UsageError(
            f"{path} is in no root",
            hint=f"`modelhub root add '{path.parent}'` makes its folder one",
        )
    return _new_place(catalog, path)


def _scope(root: Path, path: Path) -> Scope:
    """The part of `root` that `path` is; one that is gone is looked for where it was."""
    while path != root and not os.path.lexists(path):
        path = path.parent
    if path == root:
        return Scope()
    if path.is_dir():
        return Scope(folder=f"{path.relative_to(root)}/")
    return single(root, [path])[0]


def single(root: Path, paths: Sequence[Path]) -> list[Scope]:
    """The scopes of single files of a root, those of one folder together."""
    folders: dict[str, set[str]] = {}
    for path in paths:
        folder = path.parent.relative_to(root)
        prefix = "" if folder == Path() else f"{folder}/"
        folders.setdefault(prefix, set()).add(path.name)
    return [Scope(folder=key, names=frozenset(names)) for key, names in folders.items()]


def _widest(scopes: Sequence[Scope]) -> list[Scope]:
    """The scopes without those that lie in others, so that nothing is looked at twice."""
    deep = {scope.folder for scope in scopes if scope.names is None}
    kept = [Scope(folder=one) for one in deep if not _inside(one, deep - {one})]
    return kept + [s for s in scopes if s.names is not None and not _inside(s.folder, deep)]


def _inside(folder: str, others: set[str]) -> bool:
    return any(folder.startswith(other) for other in others)
