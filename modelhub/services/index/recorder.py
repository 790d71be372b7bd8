"""Writing what was read into the catalog: in short transactions, so that others can write too."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.paths import decode_path
from modelhub.services.index.reading import Answer, Job
from modelhub.services.index.report import Faulty, Happened, Happening
from modelhub.services.index.walk import Seen

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.scanning import Prepared

LONGEST = 0.15
"""Seconds that a transaction may take; the number of files in the next one follows it."""
_FEWEST, _MOST = 16, 512
_MOST_FAULTS = 10_000
_MOST_UNSAFE = 1_000


class Recorder:
    """Collects what is to be recorded, and records it in batches.

    :param roots: the number of each root, by its path as in :attr:`Job.root`.
    """

    def __init__(self, catalog: Catalog, tell: Callable[[Happening], None] | None) -> None:
        self._catalog = catalog
        self._tell = tell
        self.roots: dict[str, int] = {}
        self.faults: list[Faulty] = []
        self.verdicts: Counter[str] = Counter()
        """How many of the files that were read have which verdict."""
        self.unsafe: dict[str, list[Path]] = {"dangerous": [], "suspicious": []}
        self.recorded = 0
        self._ready: dict[int, list[Prepared]] = {}
        self._count = 0
        self._batch = _MOST
        self._untold: list[Happening] = []
        self._touched: list[tuple[int, int, int, int | None]] = []

    def take(self, answers: Iterable[Answer]) -> list[Job]:
        """Take what was read; the jobs whose files changed meanwhile are given back."""
        again = []
        for job, prepared in answers:
            if prepared is None:
                again.append(job)
                continue
            self._ready.setdefault(self.roots[job.root], []).append(prepared)
            self._count += 1
            if prepared.verdict is not None:
                self._note_verdict(Path(job.root) / decode_path(job.path), prepared.verdict)
            if prepared.fault is not None or self._tell is not None:
                self._note(Path(job.root) / decode_path(job.path), prepared.fault)
        if self._count >= self._batch:
            self.flush()
        return again

    def touch(self, file_id: int, seen: Seen) -> None:
        """Record that a file is on disk as it was, but for what is in `seen`."""
        self._touched.append((file_id, seen.size, seen.mtime_ns, seen.inode))
        if len(self._touched) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Record everything that was taken.

        :raises CatalogError: the catalog cannot be written to.
        """
        touched, self._touched = self._touched, []
        for at in range(0, len(touched), _MOST):
            self._catalog.touch(touched[at : at + _MOST])
        ready, self._ready, self._count = self._ready, {}, 0
        for root_id, files in ready.items():
            at = 0
            while at < len(files):
                part = files[at : at + self._batch]
                self._record(root_id, part)
                at += len(part)
        untold, self._untold = self._untold, []
        if self._tell is not None:
            for happening in untold:
                self._tell(happening)

    def _record(self, root_id: int, files: list[Prepared]) -> None:
        began = time.perf_counter()
        self._catalog.record_scanned(root_id, files)
        took = max(time.perf_counter() - began, 1e-6)
        self.recorded += len(files)
        fitting = int(len(files) * LONGEST / took)
        # New files take a tenth of the time of known ones; one slow moment says little.
        self._batch = min(_MOST, max(_FEWEST, min(fitting, self._batch * 2)))

    def _note_verdict(self, path: Path, verdict: str) -> None:
        self.verdicts[verdict] += 1
        unsafe = self.unsafe.get(verdict)
        if unsafe is None:
            return
        if len(unsafe) < _MOST_UNSAFE:
            unsafe.append(path)
        if self._tell is not None:
            self._untold.append(Happening(Happened.UNSAFE, path, verdict))

    def _note(self, path: Path, fault: str | None) -> None:
        if fault is not None and len(self.faults) < _MOST_FAULTS:
            self.faults.append(Faulty(path, fault))
        if self._tell is not None:
            what = Happened.INDEXED if fault is None else Happened.FAULTY
            self._untold.append(Happening(what, path, fault or ""))
