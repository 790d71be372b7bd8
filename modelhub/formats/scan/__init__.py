"""Whether loading a file may run code: told without executing a byte of it.

Every pickle in a file is followed by an inert machine, wherever it is (in a zip member of any name,
within another pickle, behind a numpy header, compressed, in a row), and every name is ranked by a
list of what is allowed: what is unknown is never safe.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.formats.scan.report import (
    SCANNER,
    Finding,
    Rank,
    ScanFault,
    ScanReport,
    Verdict,
)
from modelhub.formats.tensors import FileFormat

if TYPE_CHECKING:
    from modelhub.formats.scan.second import Opinion

__all__ = [
    "SCANNER",
    "Finding",
    "Rank",
    "ScanFault",
    "ScanReport",
    "Verdict",
    "carries_pickles",
    "scan_file",
    "second_opinion",
]

_CARRYING = frozenset(
    {
        FileFormat.TORCH_ZIP,
        FileFormat.TORCH_LEGACY,
        FileFormat.PICKLE,
        FileFormat.NUMPY,
        FileFormat.ZIP,
        FileFormat.SEVEN_ZIP,
        FileFormat.RAR,
        FileFormat.TAR,
        FileFormat.GZIP,
        FileFormat.UNKNOWN,
    }
)


def carries_pickles(format: FileFormat) -> bool:
    """Whether files of the format may hold pickles, so that a verdict is worth keeping."""
    return format in _CARRYING


def scan_file(path: Path) -> ScanReport:
    """The verdict on one regular file; a symbolic link to one is followed.

    In bounded time and memory, whatever the file holds. A broken file gives a report with faults.

    :raises FileUnreadable: it cannot be opened or read, is no regular file, or changed meanwhile.
    """
    from modelhub.formats.scan.one_file import scan

    return scan(path)


def second_opinion(path: Path) -> Opinion | None:
    """What picklescan says of a file (:mod:`modelhub.formats.scan.second`), if it is installed."""
    from modelhub.formats.scan.second import second_opinion as ask

    return ask(path)
