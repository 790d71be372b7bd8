"""A file on disk, opened, scanned, and the same all the while.

A library has thousands of files of a few hundred bytes: of these, most of the time goes into calls
of the system, so that no more of them are made than are needed.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from modelhub.errors import FileUnreadable
from modelhub.formats.pickles import FilePart, Held
from modelhub.formats.reading import require_regular, require_unchanged
from modelhub.formats.scan.examine import examine
from modelhub.formats.scan.report import ScanReport
from modelhub.formats.scan.tally import Tally

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SMALL = 1 << 20
"""A file of so many bytes is read at once: it takes dozens of short reads else."""


def scan(path: Path) -> ScanReport:
    """As :func:`modelhub.formats.scan.scan_file`."""
    before = require_regular(path)
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        try:
            report = _report(descriptor, before.st_size)
        except FileUnreadable as error:
            require_unchanged(path, descriptor, before)
            raise FileUnreadable(f"cannot scan {path}: {error.message}") from error
        require_unchanged(path, descriptor, before)
        return report
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _report(descriptor: int, size: int) -> ScanReport:
    tally = Tally()
    if size <= _SMALL:
        examine(tally, Held(_read(descriptor, size)), "", 0)
    else:
        with io.FileIO(descriptor, "rb", closefd=False) as raw:
            examine(tally, FilePart(raw, size), "", 0)
    return tally.report()


def _read(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            raise FileUnreadable("the file became shorter while it was read")
        data += more
    return data


def _unreadable(path: Path, error: OSError | ValueError) -> FileUnreadable:
    if isinstance(error, OSError):
        return FileUnreadable(f"cannot read {path}: {error.strerror or error}")
    return FileUnreadable(f"cannot read {str(path)!r}: {error}")
