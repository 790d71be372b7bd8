"""Jobs of reading files for the catalog, and their answers. Done in other processes, mostly.

The work itself is in :mod:`.contents`, which is imported when there is some.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelhub.catalog.scanning import Prepared


class How(IntEnum):
    """How much of a model a file is."""

    HEADER = 0
    """All of it."""
    WHOLE = 1
    """The first of several files: all of them are read together."""
    PIPELINE = 2
    """The first of a diffusers folder, two levels below it: all of the folder is read."""
    PART = 3
    """A further one of several, read with the first."""


class Job(NamedTuple):
    """A file to read: as the walk saw it. `path` is in the catalog's spelling."""

    root: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    part_of: str | None
    how: How


class Answer(NamedTuple):
    """What came of a job. `prepared` is None when the file changed while it was read, or is gone:
    it is to be looked at again."""

    job: Job
    prepared: Prepared | None


def read_files(jobs: Sequence[Job], now: datetime | None = None) -> list[Answer]:
    """Read the headers of files, and make them ready for the catalog. Raises nothing for a file."""
    from modelhub.services.index.contents import prepared

    return list(map(Answer, jobs, prepared(jobs, now or datetime.now(UTC))))


def broken(job: Job, fault: str) -> Answer:
    """The answer for a file that no reader survives."""
    from modelhub.services.index.contents import prepared_faulty

    return Answer(job, prepared_faulty(job, fault, datetime.now(UTC)))
