"""What all the roots of one run share: who reads, who records, what waits, what moved."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.paths import decode_path
from modelhub.catalog.rows import FileState
from modelhub.errors import Cancelled
from modelhub.services.index.moves import Moves
from modelhub.services.index.reading import How, Job, read_files
from modelhub.services.index.recorder import Recorder
from modelhub.services.index.report import Happened, Happening, Tally
from modelhub.services.index.walk import Seen

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog
    from modelhub.catalog.scanrows import KnownFile
    from modelhub.config import Config
    from modelhub.services.index.pool import HeaderReaders

_PARTS = 4096
_STATES = 1000


@dataclass(slots=True)
class Restless:
    """A file of a root that was still being written when it was seen, or changed while it was
    read; `since` is when it was first seen as it is, in seconds of the monotonic clock."""

    root_id: int
    seen: Seen
    since: float


class Session:
    """One run.

    :param tell: told of each thing that happens to a file; None: nobody asks.
    :param warn: told, in sentences, what the user should know.
    :param progress: told, in a few words, how far it is.
    :param interlude: called between batches, in the thread of the run.
    """

    def __init__(
        self,
        catalog: Catalog,
        config: Config,
        readers: HeaderReaders,
        cancel: Event,
        *,
        tell: Callable[[Happening], None] | None,
        warn: Callable[[str], None],
        progress: Callable[[str], None],
        interlude: Callable[[], None] | None,
    ) -> None:
        self.catalog, self.config, self.readers, self.cancel = catalog, config, readers, cancel
        self.warn, self.progress = warn, progress
        self._tell, self._interlude = tell, interlude
        self.roots = {row.id: row.folder for row in catalog.roots()}
        self.recorder = Recorder(catalog, tell)
        self.recorder.roots = {str(folder): number for number, folder in self.roots.items()}
        self.moves = Moves(catalog, self.roots)
        self.tally = Tally()
        self.restless: list[Restless] = []
        self.unreadable: list[Path] = []
        self.lost, self.kept_out = array("q"), array("q")
        """Numbers of files that are gone from disk, or from what is looked at."""
        self._names: dict[int, tuple[int, str]] = {}
        self._broken: dict[int, set[int]] = {}
        self.pipelines: dict[int, set[str]] = {number: set() for number in self.roots}
        """Of each root, the files that stand for diffusers folders."""
        self.links: dict[int, dict[str, str]] = {number: {} for number in self.roots}
        """Of each root, the links to folders elsewhere: see :attr:`Walk.links`."""
        self._parts: list[Job] = []
        self._read_whole: set[tuple[int, str]] = set()
        self._to_read_whole: set[tuple[int, str]] = set()

    def tell(self, what: Happened, root_id: int, path: str, detail: str = "") -> None:
        """Tell whoever listens what happened to a file."""
        if self._tell is not None:
            self._tell(Happening(what, self.absolute(root_id, path), detail))

    def absolute(self, root_id: int, path: str) -> Path:
        """Where the file `path`, in the catalog's spelling, of a root is."""
        return self.roots[root_id] / decode_path(path)

    def breathe(self, *, wait: float | None = 0) -> None:
        """Between batches: record what was read, let others have their turn, hear Ctrl-C.

        :param wait: seconds to wait for answers at most; None: until there is one.
        :raises Cancelled: the run is to be stopped; everything read so far has been recorded.
        """
        if self._interlude is not None:
            self._interlude()
        if self.cancel.is_set():
            self.recorder.flush()
            raise Cancelled("stopped while indexing")
        for answers in self.readers.answers(wait):
            self.again(self.recorder.take(answers))
        while self.readers.full:
            if self._interlude is not None:
                self._interlude()
            for answers in self.readers.answers(0.2):
                self.again(self.recorder.take(answers))

    def drain(self) -> None:
        """Wait until everything given to the readers has been recorded."""
        while self.readers.busy:
            self.breathe(wait=0.2)
        self.recorder.flush()

    def rests(self, root_id: int, seen: Seen) -> bool:
        """Whether a file has been left alone for long enough; if not, it is kept for later."""
        age = time.time() - seen.mtime_ns / 1e9
        if age >= self.config.index.settle:
            return True
        self.restless.append(Restless(root_id, seen, time.monotonic()))
        return False

    def read(self, root_id: int, seen: Seen) -> None:
        """Have a file read and recorded; a part of a model after its first file."""
        how = How.HEADER
        if seen.part_of is not None:
            how = How.PART
            self._to_read_whole.add((root_id, seen.part_of))
        elif seen.path in self.pipelines[root_id]:
            how = How.PIPELINE
            self._read_whole.add((root_id, seen.path))
        elif "-of-" in seen.path:
            how = How.WHOLE
            self._read_whole.add((root_id, seen.path))
        job = Job(str(self.roots[root_id]), *seen, how)
        if how is How.PART:
            self._parts.append(job)
        else:
            self.readers.read([job])

    def give_parts(self, *, before: str | None = None) -> None:
        """Record the parts of models whose first files have been recorded by now.

        :param before: how far the walk is: first files from here on have not been met.
        """
        if before is not None and len(self._parts) < _PARTS:
            return
        self.drain()
        parts, self._parts = self._parts, []
        ready: list[Job] = []
        for job in parts:
            met = before is None or (job.part_of or "") < before
            (ready if met else self._parts).append(job)
        for at in range(0, len(ready), _STATES):
            self.again(self.recorder.take(read_files(ready[at : at + _STATES])))
        self.recorder.flush()

    def read_wholes(self) -> None:
        """Read models again of which a part is new or another; their first files are as before."""
        for root_id, path in sorted(self._to_read_whole - self._read_whole):
            seen = self.look(root_id, path, None)
            if seen is not None:
                self.read(root_id, seen)
        self._to_read_whole.clear()
        self.drain()

    def look(self, root_id: int, path: str, part_of: str | None) -> Seen | None:
        """A file as it is now; None when it is gone."""
        try:
            found = os.stat(self.absolute(root_id, path))  # noqa: PTH116
        except OSError:
            return None
        return Seen(path, found.st_size, found.st_mtime_ns, found.st_ino, part_of)

    def again(self, jobs: Iterable[Job]) -> None:
        """Files that changed while they were read: they are looked at again when they rest."""
        for job in jobs:
            root_id = self.recorder.roots[job.root]
            seen = self.look(root_id, job.path, job.part_of)
            if seen is not None:
                self.restless.append(Restless(root_id, seen, time.monotonic()))

    def await_rest(self, seconds: float) -> None:
        """Read the files that were still being written as soon as they rest.

        :param seconds: how long to wait for them at most; the others stay in :attr:`restless`.
        """
        deadline = time.monotonic() + seconds
        while self.restless and time.monotonic() < deadline:
            pending, self.restless = self.restless, []
            for one in pending:
                self._look_again(one)
            self.drain()
            if self.restless:
                self.progress(f"waiting for {len(self.restless):,} files that are being written")
                self.cancel.wait(max(0.05, min(0.25, self.config.index.settle / 4)))
                self.breathe()
        self.give_parts()
        self.read_wholes()

    def _look_again(self, one: Restless) -> None:
        now = self.look(one.root_id, one.seen.path, one.seen.part_of)
        if now is None:
            return
        if now != one.seen:
            self.restless.append(Restless(one.root_id, now, time.monotonic()))
        elif self._has_rested(one):
            self.tally.new += 1
            self.read(one.root_id, now)
        else:
            self.restless.append(one)

    def _has_rested(self, one: Restless) -> bool:
        settle = self.config.index.settle
        if time.monotonic() - one.since >= settle:
            return True
        return settle <= time.time() - one.seen.mtime_ns / 1e9

    def note_lost(self, root_id: int, known: KnownFile) -> None:
        """Keep in mind what has to be told, and done, should the file not turn up elsewhere."""
        if self._tell is not None:
            self._names[known.id] = root_id, known.path
        if known.part_of is not None:
            self._broken.setdefault(root_id, set()).add(known.part_of)

    def _note_broken(self) -> None:
        """Models of which a part is gone are read again, to say so."""
        for root_id, mains in self._broken.items():
            for known in self.catalog.known_files(root_id):
                if known.id in mains and known.state != FileState.MISSING:
                    self._to_read_whole.add((root_id, known.path))
        self._broken.clear()

    def settle_gone(self) -> None:
        """Record what is missing, and forget what is kept out now, but for what has moved."""
        missing = [one for one in self.lost if one not in self.moves.moved]
        for at in range(0, len(missing), _STATES):
            part = missing[at : at + _STATES]
            self.catalog.set_state(part, FileState.MISSING)
            for number in part:
                if number in self._names:
                    self.tell(Happened.MISSING, *self._names.pop(number))
            self.breathe()
        self.tally.missing += len(missing)
        forgotten = [one for one in self.kept_out if one not in self.moves.moved]
        for at in range(0, len(forgotten), _STATES):
            self.catalog.forget(forgotten[at : at + _STATES])
            self.breathe()
        self.tally.forgotten += len(forgotten)
        self._note_broken()
        self.read_wholes()
