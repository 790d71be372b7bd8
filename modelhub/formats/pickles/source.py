"""Where the bytes of a pickle come from: a part of a file, read in pieces and never mapped.

A map of a file that shrinks meanwhile ends the process with SIGBUS; a short read is an error.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol

from modelhub.errors import FileUnreadable


class Source(Protocol):
    """Bytes that are read at an offset."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def origin(self) -> int:
        """Where its first byte is in the file, for error messages."""

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes at `offset`, fewer only at the end."""


class FilePart:
    """The `size` bytes of `file` that begin at `origin`.

    :raises FileUnreadable: from :meth:`read`, when the file cannot be read, or ends earlier.
    """

    def __init__(self, file: BinaryIO, size: int, origin: int = 0) -> None:
        self._file = file
        self.size = size
        self.origin = origin

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes at `offset` of the part, fewer only at its end."""
        count = max(0, min(count, self.size - offset))
        if count == 0:
            return b""
        try:
            self._file.seek(self.origin + offset)
            data = self._file.read(count)
        except OSError as error:
            raise FileUnreadable(f"cannot read the file: {error.strerror or error}") from error
        if len(data) < count:
            raise FileUnreadable("the file became shorter while it was read")
        return data


class Held:
    """Bytes in memory: an inflated member of an archive.

    :param origin: where the member is in the file.
    """

    def __init__(self, data: bytes, origin: int = 0) -> None:
        self._data = data
        self.size = len(data)
        self.origin = origin

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes at `offset`, fewer only at the end."""
        return self._data[offset : offset + count]
