"""Hashing what waits for it: the newest files first, and of those the smallest.

Every other hash hangs on the content, so this is what makes tags, notes and Civitai's answers hold
on to a file. A link to a content that has been hashed takes its hashes without being read; a file
that turns out to be one that is missing elsewhere takes that one's row, which is a move from one
file system to another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.paths import decode_path
from modelhub.catalog.records import BlobRecord
from modelhub.catalog.rows import FileState
from modelhub.errors import Cancelled
from modelhub.formats.hashes import ContentHashes, MultiHasher, hash_file
from modelhub.progress import (
    Advanced,
    Listener,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
    silent,
)
from modelhub.services.index.reading import How, Job, read_files
from modelhub.services.index.report import Happened, Happening

if TYPE_CHECKING:
    import os

    from modelhub.catalog import Catalog, FileRow
    from modelhub.catalog.scanrows import Hashed, Waiting

_TASK = "hash"
_AT_ONCE = 256
_SMALL = 1 << 20
_RECORDED_EVERY = 0.5
"""Seconds after which small files that have been hashed are recorded together."""


class HashReport(NamedTuple):
    """What a run of hashing did; `linked` of the `hashed` were links that needed no reading."""

    hashed: int
    linked: int
    words: int
    """Models of which the user's words in sidecars were new."""


def hash_waiting(
    catalog: Catalog,
    *,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
    tell: Callable[[Happening], None] | None = None,
    interlude: Callable[[], None] | None = None,
    root_ids: Collection[int] | None = None,
    limit: int | None = None,
) -> HashReport:
    """Hash the files that wait for it, record each, and import the sidecars beside it.

    :param root_ids: of these roots only; None: of all.
    :param limit: so many files at most; None: all.
    :raises Cancelled: `cancel` was set; what was hashed so far is recorded.
    :raises CatalogError: the catalog cannot be written to.
    """
    hasher = _Hasher(catalog, listener, cancel or threading.Event(), tell, interlude)
    for root_id in [None] if root_ids is None else sorted(root_ids):
        hasher.run(root_id, limit)
    return HashReport(hasher.hashed, hasher.linked, hasher.words)


class _Hasher:
    def __init__(
        self,
        catalog: Catalog,
        listener: Listener,
        cancel: threading.Event,
        tell: Callable[[Happening], None] | None,
        interlude: Callable[[], None] | None,
    ) -> None:
        self._catalog, self._listener, self._cancel = catalog, listener, cancel
        self._tell, self._interlude = tell, interlude
        self._failed: set[int] = set()
        self._ready: list[tuple[Waiting, Hashed]] = []
        self._recorded_at = time.monotonic()
        self._missing = catalog.count("state:missing") > 0
        self._bytes = 0
        self.hashed = 0
        self.linked = 0
        self.words = 0
        self.readable: list[Waiting] = []
        """Files that could not be opened when their headers were read, and can be now."""

    def run(self, root_id: int | None, limit: int | None) -> None:
        """Hash what waits in a root, or everywhere."""
        started = False
        left = limit
        try:
            while left is None or left > 0:
                number = _AT_ONCE if left is None else min(left, _AT_ONCE)
                waiting = self._catalog.unhashed(number, without=self._failed, root_id=root_id)
                if not waiting:
                    break
                if not started:
                    started = True
                    self._listener(TaskStarted(_TASK, "hash"))
                    self._listener(StageEntered(_TASK, Stage.HASH))
                self._hash_all(waiting)
                left = None if left is None else left - len(waiting)
        except Cancelled as error:
            self._record()
            self._listener(TaskFinished(_TASK, Outcome.CANCELLED, error.message))
            raise
        self._read_headers()
        if started:
            done = f"{self.hashed:,} files" + (f", {self.linked:,} links" if self.linked else "")
            self._listener(TaskFinished(_TASK, Outcome.DONE, done))

    def _hash_all(self, waiting: Sequence[Waiting]) -> None:
        stats = {one.id: _stat(one) for one in waiting}
        links = self._links(waiting, stats)
        for one in waiting:
            if self._interlude is not None:
                self._interlude()
            if self._cancel.is_set():
                raise Cancelled("stopped while hashing")
            self._failed.add(one.id)
            state = stats[one.id]
            if state is None or (state.st_size, state.st_mtime_ns) != (one.size, one.mtime_ns):
                continue  # for the next comparison: it is another by now, or gone
            blob = links.get(one.id) or self._hash(one)
            if blob is not None:
                self._note(one, blob)
        self._record()

    def _hash(self, one: Waiting) -> BlobRecord | None:
        self._listener(TaskRenamed(_TASK, one.path))
        before = self._bytes

        def progress(done: int) -> None:
            self._listener(Advanced(_TASK, done, one.size))
            if self._interlude is not None:
                self._interlude()

        try:
            if one.size <= _SMALL:
                hashes = _hashes_of_small(one.file)
            else:
                hashes = hash_file(one.file, progress=progress, cancel=self._cancel)
        except OSError as error:
            text = f"{one.file}: not hashed: {error.strerror or error}"
            self._listener(Notice(_TASK, text, warning=True))
            return None
        self._bytes = before + one.size
        after = _stat(one)
        if after is None or (after.st_size, after.st_mtime_ns) != (one.size, one.mtime_ns):
            return None
        return BlobRecord.of(None, hashes, one.size)

    def _read_headers(self) -> None:
        """Identify the files that have become readable: new rights change no time of a file."""
        readable, self.readable = self.readable, []
        roots = {row.path: row for row in self._catalog.roots()}
        for one in readable:
            root = roots[one.root]
            job = Job(str(root.folder), one.path, one.size, one.mtime_ns, 0, None, How.HEADER)
            state = _stat(one)
            if state is None:
                continue
            for answer in read_files([job._replace(inode=state.st_ino)]):
                if answer.prepared is not None:
                    self._catalog.record_scanned(root.id, [answer.prepared])

    def _links(
        self, waiting: Sequence[Waiting], stats: dict[int, os.stat_result | None]
    ) -> dict[int, BlobRecord]:
        """The contents of those that are links to files that have been hashed as they are."""
        wanted: dict[tuple[int, int, int], list[Waiting]] = {}
        for one in waiting:
            state = stats[one.id]
            if state is not None:
                key = state.st_ino, state.st_size, state.st_mtime_ns
                wanted.setdefault(key, []).append(one)
        found: dict[int, BlobRecord] = {}
        folders = {row.id: row.folder for row in self._catalog.roots()}
        for match in self._catalog.find_by_inode(list(wanted)):
            if match.state != FileState.HASHED or match.blob_id is None:
                continue
            key = match.inode % 2**64, match.size, match.mtime_ns
            for one in wanted.get(key, ()):
                place = folders[match.root_id] / decode_path(match.path)
                if one.id not in found and _same_file(place, stats[one.id]):
                    blob = self._blob_of(place)
                    if blob is not None:
                        found[one.id] = blob
                        self.linked += 1
        return found

    def _blob_of(self, place: Path) -> BlobRecord | None:
        row = self._catalog.find_local_by_path(place)
        if row is None or row.sha256 is None:
            return None
        return BlobRecord(sha256=row.sha256, size=row.size)

    def _note(self, one: Waiting, blob: BlobRecord) -> None:
        from modelhub.catalog.scanrows import Hashed

        self._ready.append((one, Hashed(one.id, one.size, one.mtime_ns, blob, _lasting(one.fault))))
        if time.monotonic() - self._recorded_at >= _RECORDED_EVERY:
            self._record()

    def _record(self) -> None:
        ready, self._ready = self._ready, []
        self._recorded_at = time.monotonic()
        if not ready:
            return
        recorded = self._catalog.record_hashed_many([hashed for _, hashed in ready])
        known: list[Path] = []
        for (one, hashed), done in zip(ready, recorded, strict=True):
            if not done:
                continue
            self.hashed += 1
            self._failed.discard(one.id)
            known.append(one.file)
            if one.fault is not None and hashed.fault is None:
                self.readable.append(one)
            if self._tell is not None:
                self._tell(Happening(Happened.HASHED, one.file, hashed.blob.sha256))
            if self._missing:
                self._take_over(one, hashed.blob.sha256)
        self._import_sidecars(known)

    def _import_sidecars(self, files: list[Path]) -> None:
        """Take up what other tools wrote beside files whose content is known now."""
        from modelhub.services.match import import_sidecars_beside

        found = import_sidecars_beside(sorted(files), catalog=self._catalog, cancel=self._cancel)
        self.words += found.words

    def _take_over(self, one: Waiting, sha256: str) -> None:
        """Let a file that came from another file system go on as the one that is missing there."""
        rows = self._catalog.find_local_by_sha256(sha256)
        gone = [row for row in rows if row.state is FileState.MISSING and row.id != one.id]
        here = next((row for row in rows if row.id == one.id), None)
        if len(gone) != 1 or here is None or not _is_new(here, gone[0]):
            return
        place = here.file
        with self._catalog.transaction(), suppress(ValueError):
            self._catalog.forget([here.id])
            self._catalog.record_moved(
                gone[0].id, root=decode_path(here.root), path=decode_path(here.path)
            )
            self._catalog.touch([(gone[0].id, one.size, one.mtime_ns, place.stat().st_ino)])
        if self._tell is not None:
            self._tell(Happening(Happened.MOVED, place, str(gone[0].file)))


def _hashes_of_small(path: Path) -> ContentHashes:
    """As :func:`hash_file`, without the threads and buffers that are worth it for large files."""
    with MultiHasher() as hasher:
        hasher.update(path.read_bytes())
        return hasher.result()


def _is_new(here: FileRow, gone: FileRow) -> bool:
    """Whether the one came when the other was known already, and brings nothing of its own."""
    return here.added_at >= gone.added_at and here.version_id in (None, gone.version_id)


def _lasting(fault: str | None) -> str | None:
    """The fault that a file still has once it could be read: one of its content."""
    return None if fault is None or fault.startswith("cannot read") else fault


def _stat(one: Waiting) -> os.stat_result | None:
    try:
        return one.file.stat()
    except OSError:
        return None


def _same_file(place: Path, state: os.stat_result | None) -> bool:
    try:
        other = place.stat()
    except OSError:
        return False
    return state is not None and (other.st_dev, other.st_ino) == (state.st_dev, state.st_ino)
