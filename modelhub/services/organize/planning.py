"""The plan: for each model, whether it moves, where to, and what moves with it. Touches nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import FileState, decode_path
from modelhub.catalog.batching import batches
from modelhub.placement.names import split_name
from modelhub.services.index.names import MODEL_INDEX
from modelhub.services.listed import every_batch
from modelhub.services.organize.arrangement import Arrangement, arrangement_of, untouchable
from modelhub.services.organize.beside import Beside, FolderOfModels, same_name
from modelhub.services.organize.model import Carried, Movement, Plan, Skipped, Step
from modelhub.services.organize.placing import Place, place_of

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow, PublishedAs, RootRow
    from modelhub.config import Config

_MOST_VARIANTS = 1000
_BESIDE_CHECKPOINT = ("a1111", "forge")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; None and False leave it to the defaults.

    :param ids: only these files of the catalog; empty: all that the query finds.
    :param into: the root to move to, instead of within each file's own.
    :param layout: instead of the roots' own.
    :param guesses: move also what was identified by a guess.
    """

    query: str = ""
    ids: Sequence[int] = ()
    into: RootRow | None = None
    layout: str | None = None
    guesses: bool = False


@dataclass(slots=True)
class _Candidate:
    """A model that does not lie where it belongs."""

    row: FileRow
    root: RootRow
    source: Path
    """Of its (first) file, or the diffusers folder."""
    place: Place
    to: Arrangement
    version_id: int | None
    folder: bool
    parts: Mapping[Path, tuple[int, int]] = field(default_factory=dict)


def plan(wish: Wish, *, catalog: Catalog, config: Config) -> Plan:
    """What would move, and what would not.

    :raises QuerySyntaxError: the query has a mistake.
    :raises ConfigError: layout, template or folders are wrong.
    """
    return _Planner(wish, catalog, config).plan()


class _Planner:
    def __init__(self, wish: Wish, catalog: Catalog, config: Config) -> None:
        self._wish = wish
        self._catalog = catalog
        self._config = config
        self._roots = {root.path: root for root in catalog.roots()}
        self._arrangements: dict[str, Arrangement | str] = {}
        self._folders: dict[Path, FolderOfModels] = {}
        self._planned: dict[Path, set[str]] = {}
        self._skipped: list[Skipped] = []
        self._in_place = 0
        self._placed: dict[Path, Path] = {}
        """Where each model of this plan goes, by its file: the folder."""
        self._carried: set[Path] = set()

    def plan(self) -> Plan:
        candidates = list(self._candidates())
        self._placed = {one.source: one.place.folder for one in candidates}
        movements = [m for one in candidates if (m := self._movement(one)) is not None]
        return Plan(movements=movements, skipped=self._skipped, in_place=self._in_place)

    def _candidates(self) -> Iterator[_Candidate]:
        for rows in self._asked_for():
            published = self._catalog.published_as([row.id for row in rows])
            for row in rows:
                found = self._candidate(row, published.get(row.id, ()))
                if isinstance(found, str):
                    self._skipped.append(Skipped(row.file, found))
                elif found is not None:
                    yield found

    def _asked_for(self) -> Iterator[list[FileRow]]:
        if not self._wish.ids:
            return every_batch(self._catalog, self._wish.query)
        return (self._catalog.rows(part) for part in batches(self._wish.ids))

    def _candidate(self, row: FileRow, published: Sequence[PublishedAs]) -> _Candidate | str | None:
        if refusal := _unfit(row):
            return refusal
        root = self._roots[row.root]
        own = self._arrangement(root)
        if isinstance(own, str) and (self._wish.into is None or untouchable(root)):
            return own
        to = own if self._wish.into is None else self._arrangement(self._wish.into)
        if isinstance(to, str):
            return to
        source, is_folder = _whole(row)
        if source == root.folder:
            return "it is the root itself"
        guesses = self._wish.guesses
        place = place_of(row, source, published, to, guesses=guesses, folder=is_folder)
        if isinstance(place, str):
            return place
        if place.in_place:
            self._in_place += 1
            return None
        if self._wish.into is not None and not isinstance(own, str) and own.root_id != to.root_id:
            # The user's own folders below the folder of the kind are kept.
            before = place_of(row, source, published, own, guesses=guesses, folder=is_folder)
            if not isinstance(before, str) and before.in_place and not own.whole_tree:
                place = Place(place.folder / before.below, place.name, place.why, in_place=False)
        if not place.folder.is_relative_to(to.folder):
            return f"it belongs in {place.folder}, which is outside of its root {to.folder}"
        version_id = published[0].version_id if published else None
        return _Candidate(row, root, source, place, to, version_id, is_folder)

    def _arrangement(self, root: RootRow) -> Arrangement | str:
        if root.path not in self._arrangements:
            found = arrangement_of(self._config, root, self._wish.layout)
            self._arrangements[root.path] = found
        return self._arrangements[root.path]

    def _movement(self, one: _Candidate) -> Movement | None:
        if one.source in self._carried:
            return None
        reason = _stale(one.row, one.source, folder=one.folder)
        built = reason or (self._of_folder(one) if one.folder else self._of_files(one))
        if isinstance(built, str):
            self._skipped.append(Skipped(one.row.file, built))
            return None
        return built

    def _of_folder(self, one: _Candidate) -> Movement | str:
        if any(Path(top, n).is_symlink() for top, ds, fs in os.walk(one.source) for n in ds + fs):
            return "the folder holds symbolic links, which a move would break"
        if one.place.folder.is_relative_to(one.source):
            return "it would move into itself"
        name = self._free_name(one, one.source.name, lambda name: [name])
        if name is None:
            return f"{one.place.folder / one.source.name} and all variants of that name are taken"
        target = one.place.folder / name
        files = [(one.row.id, one.row.file, one.row.sha256), *self._parts(one.row)]
        carried = [
            Carried(number, path, target / path.relative_to(one.source), sha256)
            for number, path, sha256 in files
            if path.is_relative_to(one.source)
        ]
        return self._built(one, target, [Step(one.source, target, folder=True)], carried)

    def _of_files(self, one: _Candidate) -> Movement | str:
        folder = self._folder(one.source.parent)
        beside = folder.beside(one.source.name)
        if beside.downloading:
            return "it is still being downloaded"
        if not beside.shards and self._comes_with_checkpoint(one, folder):
            return "it is loaded with the checkpoint beside it, by its name"
        companions, notices = self._companions(one, beside)
        vaes = self._vaes(one, folder)
        others = [*beside.shards, *companions, *vaes]
        if twin := self._twin(one):
            return f"the same content is at {twin} already: see `modelhub dupes`"
        stem, _ = split_name(one.source.name)
        name = self._free_name(
            one, one.place.name, lambda name: [name, *(_renamed(o, stem, name) for o in others)]
        )
        if name is None or (beside.shards and name != one.source.name):
            return f"{one.place.folder / one.place.name} is taken by another file"
        names = {one.source.name: name} | {o: _renamed(o, stem, name) for o in others}
        return self._assembled(one, names, {one.source.name, *beside.shards, *vaes}, notices)

    def _twin(self, one: _Candidate) -> Path | None:
        """The file at the very place where this one belongs, if it is the same."""
        if one.row.copies < 2 or one.row.sha256 is None:
            return None
        there = one.place.folder / one.place.name
        found = self._catalog.find_local_by_path(there)
        same = found is not None and found.sha256 == one.row.sha256
        return there if same and os.path.lexists(there) else None

    def _assembled(
        self, one: _Candidate, names: Mapping[str, str], essential: set[str], notices: list[str]
    ) -> Movement | str:
        """The move of the files of one folder, given their names at the target."""
        here, there = one.source.parent, one.place.folder
        self._carried |= {here / name for name in names}
        known = {path: (number, sha256) for number, path, sha256 in self._parts(one.row)}
        known[one.row.file] = (one.row.id, one.row.sha256)
        for name in names:
            row = None if here / name in known else self._known_vae(here / name)
            if row is not None:
                known[here / name] = (row.id, row.sha256)
        steps = []
        for name, new in names.items():
            try:
                stat = (here / name).lstat()
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}"
            step = Step(here / name, there / new, stat.st_size, stat.st_mtime_ns)
            if name not in essential:
                step = Step(step.source, step.target, step.size, step.mtime_ns, essential=False)
            steps.append(step)
        carried = [
            Carried(number, path, there / names[path.name], sha256)
            for path, (number, sha256) in known.items()
            if path.parent == here and path.name in names
        ]
        return self._built(one, there / names[one.source.name], steps, carried, notices)

    def _built(
        self,
        one: _Candidate,
        target: Path,
        steps: Sequence[Step],
        files: Sequence[Carried],
        notices: Sequence[str] = (),
    ) -> Movement:
        return Movement(
            name=one.row.name,
            source=one.source,
            target=target,
            size=one.row.size,
            why=one.place.why,
            from_root=one.root.folder,
            root=one.to.folder,
            steps=tuple(steps),
            files=tuple(files),
            version_id=one.version_id,
            notices=tuple(notices),
        )

    def _parts(self, row: FileRow) -> list[tuple[int, Path, str | None]]:
        if row.parts < 2:
            return []
        root = decode_path(row.root)
        return [
            (part.id, root / decode_path(part.path), part.sha256)
            for part in self._catalog.show(row.id).parts
        ]

    def _known_vae(self, path: Path) -> FileRow | None:
        is_vae = split_name(path.name)[0].lower().endswith(".vae")
        return self._catalog.find_local_by_path(path) if is_vae else None

    def _companions(self, one: _Candidate, beside: Beside) -> tuple[tuple[str, ...], list[str]]:
        """The companions; none where another model of the same stem stays with them."""
        left = [name for name in beside.companions if one.source.parent / name not in self._carried]
        here = one.source.parent
        staying = [n for n in beside.rivals if self._placed.get(here / n) != one.place.folder]
        if left and staying:
            return (), [f"what is beside it stays with {staying[0]}, which has the same stem"]
        return tuple(left), []

    def _vaes(self, one: _Candidate, folder: FolderOfModels) -> list[str]:
        beside = one.to.library.layout in _BESIDE_CHECKPOINT and one.row.type == "checkpoint"
        return list(folder.vaes_of(one.source.name)) if beside else []

    def _comes_with_checkpoint(self, one: _Candidate, folder: FolderOfModels) -> bool:
        if one.to.library.layout not in _BESIDE_CHECKPOINT:
            return False
        return folder.checkpoint_of(one.source.name) is not None

    def _folder(self, folder: Path) -> FolderOfModels:
        if folder not in self._folders:
            self._folders[folder] = FolderOfModels(folder)
        return self._folders[folder]

    def _free_name(self, one: _Candidate, name: str, names: _Names) -> str | None:
        """`name`, or the first variant of it of which all the names that it leads to are free."""
        used = self._folder(one.place.folder).used
        planned = self._planned.setdefault(one.place.folder, set())
        for variant in _variants(name, one.version_id, folder=one.folder):
            wanted = {same_name(other) for other in names(variant)}
            if wanted.isdisjoint(used) and wanted.isdisjoint(planned):
                planned |= wanted
                return variant
        return None


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Names: TypeAlias = Callable[[str], list[str]]


def _unfit(row: FileRow) -> str:
    """Why a file is not looked at, or empty."""
    if row.fault:
        return f"it cannot be read: {row.fault}"
    return {
        FileState.MISSING: "it is missing: see `modelhub missing`",
        FileState.CHANGED: "it changed since it was hashed: `modelhub index` reads it again",
        FileState.QUARANTINED: "it is set aside",
    }.get(row.state, "")


def _whole(row: FileRow) -> tuple[Path, bool]:
    """What has to move: the file, or the diffusers folder that it stands for."""
    if row.format == "diffusers":
        folder = row.file.parents[1]
        if (folder / MODEL_INDEX).is_file():
            return folder, True
    return row.file, False


def _stale(row: FileRow, source: Path, *, folder: bool) -> str:
    """Why the file on disk is not the one of the catalog, or empty."""
    try:
        stat = row.file.lstat()
        if row.file.is_symlink() or source.is_symlink():
            return "it is a symbolic link"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    same_size = folder or row.parts > 1 or stat.st_size == row.size
    if stat.st_mtime_ns != row.mtime_ns or not same_size:
        return "it changed since it was indexed: `modelhub index` reads it again"
    return ""


def _renamed(companion: str, stem: str, name: str) -> str:
    """What `companion` is called beside a model that gets `name` instead of ``stem.*``."""
    new, _ = split_name(name)
    return new + companion[len(stem) :] if companion.startswith(stem) else companion


def _variants(name: str, version_id: int | None, *, folder: bool) -> Iterator[str]:
    yield name
    stem, extension = (name, "") if folder else split_name(name)
    if version_id is not None:
        yield f"{stem} ({version_id}){extension}"
    for number in range(2, _MOST_VARIANTS):
        yield f"{stem} ({number}){extension}"
