"""A file of a source: open to read by position, and watched for changes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from modelhub.errors import FileUnreadable, SourceChanged
from modelhub.formats.tensor_data import open_to_read


class OpenFile:
    """A regular file, open until :meth:`close`; any number of threads may read it meanwhile.

    :raises FileUnreadable: it cannot be opened, or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = open_to_read(path)
        """-1 once it is closed."""
        try:
            self._opened = os.fstat(self.descriptor)
        except OSError as error:
            self.close()
            raise FileUnreadable(f"cannot read {path}: {error.strerror or error}") from error

    @property
    def size(self) -> int:
        """When it was opened, in bytes."""
        return self._opened.st_size

    def check_unchanged(self) -> None:
        """Check that the file is the one that was opened, under its name too.

        :raises SourceChanged: it was written to, cut off, replaced or removed since.
        """
        try:
            statuses = [os.fstat(self.descriptor), os.stat(self.path)]  # noqa: PTH116
        except OSError as error:
            raise SourceChanged(
                f"{self.path} cannot be looked at any more: {error.strerror or error}"
            ) from error
        if any(_identity(one) != _identity(self._opened) for one in statuses):
            raise SourceChanged(f"{self.path} changed while it was read")

    def close(self) -> None:
        """Close it, once."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
