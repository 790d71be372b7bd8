"""Processes that read headers, fed in batches; one that dies takes one file with it, not the run.

Not :mod:`concurrent.futures`: its processes stay behind when this one is killed, and a broken one
breaks all of them.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import modelhub
from modelhub.services.index.reading import Answer, Job, broken, read_files

_BATCH = 64
_BATCH_BYTES = 16 << 10
"""Of paths. What is under way to a process must fit the connection's buffer, or both would wait
for each other."""
_AHEAD = 4
"""Batches under way to one process, so that it never waits for us."""
_WORTH_PROCESSES = 96
"""So few files are read here sooner than processes start."""


class _Process:
    """One process, and the batches that it was given and has not answered, oldest first."""

    def __init__(self) -> None:
        import subprocess
        from multiprocessing import Pipe

        self.connection, theirs = Pipe()
        package = str(Path(modelhub.__file__).parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                # -P: the working folder, which may be one of downloads, is no place to import from.
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "modelhub.services.index.worker",
                    str(theirs.fileno()),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        finally:
            theirs.close()
        self.given: deque[list[Job]] = deque()

    @property
    def number(self) -> int:
        return self._process.pid

    def give(self, batch: list[Job]) -> None:
        self.given.append(batch)
        with suppress(OSError):  # it died: its connection ends, which the next wait tells
            self.connection.send(batch)

    def close(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.wait()


class HeaderReaders:
    """Reads headers in as many processes as given, or right here when there are few files.

    To be used with ``with``. Jobs are given by :meth:`read`, answers are fetched by
    :meth:`answers`, in no order.

    :param processes: 0: as many as there are processors, eight at most.
    """

    def __init__(self, processes: int = 0) -> None:
        self._number = processes or min(8, _processors())
        self._processes: list[_Process] = []
        self._queue: deque[list[Job]] = deque()
        self._batch: list[Job] = []
        self._bytes = 0
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.close()
        self._processes.clear()

    @property
    def process_ids(self) -> list[int]:
        """The processes that were started so far."""
        return [process.number for process in self._processes]

    @property
    def busy(self) -> bool:
        """Whether jobs are under way; as long as they are, :meth:`answers` gives more."""
        return self._waiting > 0

    @property
    def full(self) -> bool:
        """Whether enough is under way: fetch answers before giving more."""
        return self._waiting >= _BATCH * _AHEAD * (self._number + 1)

    def read(self, jobs: Sequence[Job]) -> None:
        """Take jobs; returns at once."""
        for job in jobs:
            self._batch.append(job)
            self._bytes += len(job.path)
            if len(self._batch) >= _BATCH or self._bytes >= _BATCH_BYTES:
                self._close_batch()
        self._waiting += len(jobs)
        if self._processes or self._waiting >= _WORTH_PROCESSES:
            self._feed()

    def answers(self, timeout: float | None = None) -> Iterator[list[Answer]]:
        """What has been read; waits `timeout` seconds at most for the first, None: until there is
        one. Gives nothing when no job is under way."""
        if not self._waiting:
            return
        self._close_batch()
        if not self._processes and self._waiting < _WORTH_PROCESSES:
            if self._queue:
                batch = self._queue.popleft()
                self._waiting -= len(batch)
                yield read_files(batch)
            return
        from multiprocessing.connection import wait

        self._feed()
        for ready in wait([one.connection for one in self._processes], timeout):
            process = next(one for one in self._processes if one.connection is ready)
            yield from self._fetched(process)
        self._feed()

    def _fetched(self, process: _Process) -> Iterator[list[Answer]]:
        try:
            answers: list[Answer] = process.connection.recv()
        except (EOFError, OSError):
            yield from self._buried(process)
            return
        process.given.popleft()
        self._waiting -= len(answers)
        self._feed()
        yield answers

    def _buried(self, process: _Process) -> Iterator[list[Answer]]:
        """A process died: the files that it had are read again, those of its batch one by one."""
        self._processes.remove(process)
        process.close()
        batches = list(process.given)
        suspects = batches[0] if batches else []
        if len(suspects) == 1:
            self._waiting -= 1
            yield [broken(suspects[0], "reading it ended the process that read it")]
            suspects = []
        self._queue.extendleft(reversed(batches[1:]))
        self._queue.extendleft([job] for job in reversed(suspects))
        self._feed()

    def _close_batch(self) -> None:
        if self._batch:
            self._queue.append(self._batch)
            self._batch, self._bytes = [], 0

    def _feed(self) -> None:
        if not self._processes and not self._queue:
            return
        while len(self._processes) < self._number and self._queue:
            self._processes.append(_Process())
            self._processes[-1].give(self._queue.popleft())
        for process in self._processes:
            while self._queue and len(process.given) < _AHEAD:
                process.give(self._queue.popleft())


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
