"""One root against the catalog: what differs is followed, read or noted as gone.

New files are first looked up by inode, size and mtime: one whose old path is gone has moved, and
keeps its row with all that hangs on it, whatever root it is in now. What is neither moved nor
known is read, once it rests. Files that were not met are looked for once more; those that are gone
become missing when all roots have been walked, so that a move between two roots is one whichever
comes first. A root that looks as if its disk were not mounted is left as it is known.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from typing import TYPE_CHECKING

from modelhub.catalog.paths import decode_path, escaped
from modelhub.catalog.rows import FileState
from modelhub.formats.revision import IDENTIFICATION
from modelhub.formats.scan import SCANNER
from modelhub.services.index.compare import compare, compare_one
from modelhub.services.index.mounts import file_system_of, unmounted_points
from modelhub.services.index.moves import GONE
from modelhub.services.index.report import Happened, RootReport
from modelhub.services.index.walk import Scope, Seen, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelhub.catalog.scanrows import KnownFile, KnownRow
    from modelhub.services.index.places import Place
    from modelhub.services.index.session import Session

_FRESH = 512
"""New files that are looked up by inode at a time."""
_STEP = 1000
"""Differing files between two breaths."""


class RootScan:
    """The comparison of one place with the catalog."""

    def __init__(self, session: Session, place: Place) -> None:
        self._session = session
        self._place = place
        self._id = place.row.id
        self._fresh: list[Seen] = []
        self._lost, self._kept_out = array("q"), array("q")
        self._odd: dict[str, KnownFile] = {}
        self._walk = Walk(place.root)
        self._files = 0
        self._entries = 0
        self._differing = 0
        self._anew = place.row.identified_by != IDENTIFICATION
        self._unscanned: set[str] = set()

    def run(self) -> RootReport:
        """Look at everything in the place."""
        place, session = self._place, self._session
        unchanged = session.tally.unchanged
        problem = ""
        if place.row.verdicts_by != SCANNER:
            self._unscanned = session.catalog.unscanned(self._id, SCANNER)
        try:
            device = place.root.stat().st_dev
            for scope in place.scopes:
                self._look_at(scope)
            if place.root.stat().st_dev != device:
                problem = "its disk was unmounted, or mounted, meanwhile"
        except GONE:
            problem = "the folder is not there: its disk may not be mounted"
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
        whole = any(not scope.folder and scope.names is None for scope in place.scopes)
        if not problem and whole and not self._files and self._lost:
            problem = self._why_empty()
        if problem:
            session.tally.unchanged = unchanged
            session.warn(f"{place.root}: {problem}; all that is known of it is kept")
        else:
            session.lost.extend(self._lost)
            session.kept_out.extend(self._kept_out)
            if whole:
                self._note_scan()
        return RootReport(place.root, self._files, problem, place.added)

    def _note_scan(self) -> None:
        row, device = self._place.row, self._place.root.stat().st_dev
        rules = (row.identified_by, row.verdicts_by)
        improved = rules != (IDENTIFICATION, SCANNER)
        if improved or (row.device, row.seen_files) != (device, self._files):
            if improved:
                self._session.drain()
            self._session.catalog.record_scan(
                row.id,
                device=device,
                seen_files=self._files,
                identified_by=IDENTIFICATION,
                verdicts_by=SCANNER,
            )

    def _why_empty(self) -> str:
        """Why a root without a model is taken for one that is not mounted; else empty."""
        if self._entries:
            return ""
        if str(self._place.root) in unmounted_points():
            return "not mounted"
        if self._place.row.device == self._place.root.stat().st_dev:
            return ""
        return "empty, and on another file system than it was: its disk may not be mounted"

    def _look_at(self, scope: Scope) -> None:
        session, place = self._session, self._place
        others = (folder for number, folder in session.roots.items() if number != self._id)
        self._walk = walk = Walk(
            place.root,
            scope=scope,
            others=frozenset(os.path.realpath(folder) for folder in others),
            follow_links=session.config.index.follow_links,
            ignore=tuple(session.config.index.ignore),
            unmounted=unmounted_points(),
            pipelines=session.pipelines[self._id],
        )
        tells = file_system_of(place.root).stable_inodes
        known = self._known_in(scope)
        anew = self._anew or bool(self._unscanned)
        session.tally.unchanged += compare(walk.chunks(), known, self, inodes_tell=tells, anew=anew)
        for seen in walk.odd:
            row = self._odd.pop(seen.path, None)
            session.tally.unchanged += compare_one(seen, row, self, inodes_tell=tells, anew=anew)
        self._files += len(walk.odd)
        self._entries += walk.entries
        for row in self._odd.values():
            self._note_gone(row)
        self._odd = {}
        self._follow_fresh()
        session.give_parts()
        session.links[self._id] |= walk.links
        for notice in walk.notices:
            session.warn(notice)
        session.unreadable += [place.root / decode_path(one) for one in walk.unreadable]

    def _known_in(self, scope: Scope) -> Iterable[KnownRow]:
        folder = escaped(scope.folder)
        if scope.names is None:
            return self._session.catalog.known_rows(self._id, folder)
        paths = [folder + escaped(name) for name in scope.names]
        return self._session.catalog.files_at(self._id, paths)

    # What differs, as `compare` tells it.

    def on_chunk(self, number: int) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        self._files += number
        self._session.progress(f"{self._files:,} files")
        self._session.breathe()

    def on_new(self, seen: Seen) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        self._fresh.append(seen)
        if len(self._fresh) >= _FRESH:
            self._follow_fresh()

    def on_changed(self, seen: Seen, known: KnownFile) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        if self._session.rests(self._id, seen):
            self._session.tally.changed += 1
            if (known.size, known.mtime_ns) == (seen.size, seen.mtime_ns) and not seen.part_of:
                # Another file under the same name, size and time: only hashing tells what it is.
                self._session.catalog.set_state([known.id], FileState.CHANGED)
            self._session.read(self._id, seen)
            self._count_differing(seen)

    def on_stale(self, seen: Seen) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        if not self._anew and seen.path not in self._unscanned:
            return
        self._session.tally.reread += 1
        self._session.read(self._id, seen)
        self._count_differing(seen)

    def on_back(self, seen: Seen, known: KnownFile) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        self._session.tally.back += 1
        self._session.recorder.touch(known.id, seen)
        self._session.tell(Happened.BACK, self._id, seen.path)

    def on_gone(self, known: KnownFile) -> None:
        """See :class:`~modelhub.services.index.compare.Sink`."""
        # Spelled otherwise than it sorts on disk: met among the odd ones, perhaps.
        if "//" in known.path:
            self._odd[known.path] = known
        else:
            self._note_gone(known)

    def _note_gone(self, known: KnownFile) -> None:
        """A known file was not met: gone from disk, or kept out of what is looked at."""
        walk = self._walk
        if known.path in walk.held or known.path.startswith(tuple(walk.unreadable)):
            return
        try:
            there = stat.S_ISREG(os.stat(self._place.root / decode_path(known.path)).st_mode)  # noqa: PTH116
        except GONE:
            there = False
        except OSError as error:
            if error.errno != errno.ELOOP:
                return
            there = False
        if there and known.state == FileState.QUARANTINED:
            return  # no walk looks there
        if there:
            self._kept_out.append(known.id)
        elif known.state != "missing":
            self._lost.append(known.id)
            self._session.note_lost(self._id, known)

    def _follow_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        session = self._session
        moved, others = session.moves.follow(self._id, fresh)
        session.tally.moved += len(moved)
        for seen, old in moved:
            session.tell(Happened.MOVED, self._id, seen.path, str(old))
        for seen in others:
            if session.rests(self._id, seen):
                session.tally.new += 1
                session.read(self._id, seen)
                self._count_differing(seen)

    def _count_differing(self, seen: Seen) -> None:
        self._differing += 1
        if self._differing % _STEP == 0:
            self._session.give_parts(before=seen.path)
            self._session.breathe()
