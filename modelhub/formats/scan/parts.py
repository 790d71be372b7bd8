"""Parts of what is scanned, as sources and as files."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from modelhub.formats.pickles import Source


class Part:
    """The bytes of `source` from `start` on, at most `size` of them."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        self._source = source
        self._start = start
        self.size = max(0, min(size, source.size - start))
        self.origin = source.origin + start

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes at `offset`, fewer only at the end."""
        count = max(0, min(count, self.size - offset))
        return self._source.read(self._start + offset, count) if count else b""


class _SourceFile(io.RawIOBase):
    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._source.size - self._at)
        data = self._source.read(self._at, left if count < 0 else min(count, left))
        self._at += len(data)
        return data


def as_file(source: Source) -> BinaryIO:
    """The same bytes as a seekable file, for readers that take one."""
    return cast(BinaryIO, _SourceFile(source))
