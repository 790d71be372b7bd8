"""Moves made, one model after the other: journal, disk, catalog, in this order."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelhub.catalog import EventRecord, Move, encode_path
from modelhub.errors import Cancelled, DiskError, ModelhubError, UnknownFile
from modelhub.placement.roots import prepare_folder
from modelhub.services.organize.model import Carried, Moved, Movement, Skipped, Step
from modelhub.services.organize.moving import Taken, move
from modelhub.whole_files import sync_folder

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.services.organize.journal import Journal

PREVIEWS = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".mp4", ".webm"))
"""What copies of previews end in."""
ORGANIZED = "organized"
"""The kind of event that tells of a move, and :data:`UNORGANIZED` of one that was taken back."""
UNORGANIZED = "unorganized"


class Applier:
    """Makes the moves of one run."""

    def __init__(
        self,
        catalog: Catalog,
        journal: Journal,
        run: str,
        *,
        cancel: threading.Event | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self._catalog = catalog
        self._journal = journal
        self._run = run
        self._cancel = cancel
        self._progress = progress
        self._read = self._size = 0
        self._prepared: set[Path] = set()
        self._copied = True
        """Whether the files of the move are others to the system than they were."""
        self.left: set[Path] = set()
        """Folders out of which something was moved."""

    def apply(self, movement: Movement) -> Moved | Skipped:
        """Move one model with all that belongs to it, or nothing of it.

        What stands beside it and cannot move stays behind, and is told of.

        :raises Cancelled: `cancel` was set while files were copied; all is where it was.
        :raises CatalogError: the catalog cannot be written to; the next run records the move.
        """
        try:
            self._prepare(movement)
        except ModelhubError as error:
            return Skipped(movement.source, error.message)
        self._journal.begin(self._run, movement)
        self._copied = False
        self._read, self._size = 0, movement.size
        done: list[Step] = []
        notices = list(movement.notices)
        hashes = _hashes(movement)
        try:
            for step in sorted(movement.steps, key=lambda one: not one.essential):
                notice = self._one(step, hashes)
                if notice:
                    notices.append(notice)
                else:
                    done.append(step)
        except (ModelhubError, Taken) as error:
            self._take_back(done)
            self._journal.end()
            if isinstance(error, Cancelled):
                raise
            return Skipped(movement.source, _in_words(error))
        moved = self.record(movement, done, notices)
        self._journal.end()
        return moved

    def _pulse(self, read: int) -> None:
        """Bytes of a copy were read, to write them or to compare them: each is read twice.

        :raises Cancelled: the run was cancelled.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("stopped while files were copied; what was moved stays moved")
        self._read += read
        self._progress(self._read // 2, max(self._size, self._read // 2))

    def _one(self, step: Step, hashes: dict[Path, str]) -> str:
        """Move one thing; why a companion stays behind, or empty.

        :raises ModelhubError, Taken: it is essential, and cannot be moved.
        """
        try:
            if not step.folder and _is_another(step):
                raise DiskError(f"{step.source} changed since the move was planned")
            self._copied |= move(step, hashes=hashes, pulse=self._pulse)
        except Cancelled:
            raise
        except (ModelhubError, Taken) as error:
            if step.essential:
                raise
            return f"{step.source.name} stays behind: {_in_words(error)}"
        self.left.add(step.source.parent)
        return ""

    def _take_back(self, done: Sequence[Step]) -> None:
        """Back to where it was. What cannot go back is in its new place, whole: the next index
        follows it there."""
        for step in reversed(done):
            back = Step(step.target, step.source, folder=step.folder)
            try:
                move(back, hashes={})
            except (ModelhubError, Taken):
                continue

    def _prepare(self, movement: Movement) -> None:
        for folder in dict.fromkeys(step.target.parent for step in movement.steps):
            if folder in self._prepared:
                continue
            relative = PurePosixPath(folder.relative_to(movement.root))
            prepare_folder(movement.root, relative)
            self._prepared.add(folder)

    def finish(self, movement: Movement) -> Moved | None:
        """Bring a move to its end that a killed process began; None where nothing had moved.

        Each file is taken as it is found: at its source, at its target, or copied and not removed
        yet. What somebody else has put at either place since is left alone.
        """
        if not any(_is_begun(step) for step in movement.steps) or self._is_told(movement):
            return None
        self._prepare(movement)
        hashes = _hashes(movement)
        there, notices = [], []
        for step in movement.steps:
            notice = self._again(step, hashes)
            if notice:
                notices.append(notice)
            elif os.path.lexists(step.target):
                there.append(step)
        return self.record(movement, there, notices) if there else None

    def _is_told(self, movement: Movement) -> bool:
        """Whether the history has the move already: it is the last thing that it tells of."""
        latest = self._catalog.events(limit=1, kinds=(ORGANIZED, UNORGANIZED))
        document = latest[0].detail if latest else {}
        made = movement.document()
        same = ("from", "to", "files", "undoes")
        return document.get("run") == self._run and all(document[k] == made[k] for k in same)

    def _again(self, step: Step, hashes: dict[Path, str]) -> str:
        """Finish one step; why it cannot be, or empty."""
        if not os.path.lexists(step.source):
            return ""
        if not step.folder and _is_another(step):
            return f"{step.source} is another file by now, and was left where it is"
        try:
            move(step, hashes=hashes, again=True, pulse=self._pulse)
        except Cancelled:
            raise
        except (ModelhubError, Taken) as error:
            return f"{step.source} stays behind: {_in_words(error)}"
        return ""

    def record(self, movement: Movement, done: Sequence[Step], notices: Sequence[str]) -> Moved:
        """Tell the catalog, in one transaction, what has moved and how it can be taken back."""
        for folder in {path.parent for step in done for path in (step.source, step.target)}:
            sync_folder(folder)
        files = [one for one in movement.files if _went(one, done)]
        document = movement.document() | {"run": self._run, "marks": _marks(files, done)}
        kept = {encode_path(step.source) for step in done}
        document["steps"] = [one for one in document["steps"] if one["from"] in kept]
        with self._catalog.transaction():
            self._record_places(movement, files)
            pictures = {s.source: s.target for s in done if s.source.suffix.lower() in PREVIEWS}
            if movement.version_id is not None and pictures:
                self._catalog.record_previews_moved(movement.version_id, pictures)
            event = self._catalog.record_event(_event(movement, files, document))
        return Moved(movement=movement, event=event, notices=tuple(notices))

    def _record_places(self, movement: Movement, files: Sequence[Carried]) -> None:
        root = self._catalog.root(movement.root)
        if root is None or not files:
            return  # forgotten meanwhile, with its files
        moves = [
            Move(one.file_id, root.id, encode_path(one.target.relative_to(root.folder)))
            for one in files
        ]
        try:
            self._catalog.record_moved_many(moves)
        except UnknownFile:
            return  # forgotten meanwhile: the next index finds it as a new file
        stats = [(one.file_id, one.target.stat()) for one in files] if self._copied else []
        self._catalog.touch([(i, s.st_size, s.st_mtime_ns, s.st_ino) for i, s in stats])


def _event(movement: Movement, files: Sequence[Carried], document: dict[str, Any]) -> EventRecord:
    source = os.path.relpath(movement.source, movement.from_root)
    to_name = movement.target if movement.root != movement.from_root else Path(
        os.path.relpath(movement.target, movement.root)
    )  # fmt: skip
    undone = movement.undoes is not None
    first = next(iter(files), None)
    return EventRecord(
        kind=UNORGANIZED if undone else ORGANIZED,
        text=f"{'moved back' if undone else 'moved'} from {source} to {to_name}",
        sha256=first.sha256 if first is not None else None,
        local_file_id=first.file_id if first is not None else None,
        version_id=movement.version_id,
        detail=document,
    )


def _hashes(movement: Movement) -> dict[Path, str]:
    return {one.source: one.sha256 for one in movement.files if one.sha256 is not None}


def _went(one: Carried, done: Sequence[Step]) -> bool:
    return any(
        one.source == step.source or (step.folder and one.source.is_relative_to(step.source))
        for step in done
    ) and os.path.lexists(one.target)


def _marks(files: Sequence[Carried], done: Sequence[Step]) -> dict[str, list[int]]:
    """Size and mtime of each file where it is now, by which an undo knows it again."""
    paths = {one.target for one in files} | {step.target for step in done if not step.folder}
    stats = {path: path.lstat() for path in sorted(paths)}
    return {encode_path(path): [s.st_size, s.st_mtime_ns] for path, s in stats.items()}


def _is_begun(step: Step) -> bool:
    return os.path.lexists(step.target) and (step.folder or not _differs(step.target, step))


def _is_another(step: Step) -> bool:
    return _differs(step.source, step)


def _differs(path: Path, step: Step) -> bool:
    """Whether the file is not the one that was planned for; one that is not there is none."""
    try:
        now = path.lstat()
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (step.size, step.mtime_ns)


def _in_words(error: ModelhubError | Taken) -> str:
    if isinstance(error, Taken):
        return f"{error.args[0]} is taken by another file by now"
    return error.message
