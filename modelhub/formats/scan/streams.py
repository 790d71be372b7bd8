"""Compressed streams, inflated within bounds: gzip, zlib, bzip2, xz, and members of zip archives.

All streams of a file are joined, as Python's readers of gzip and bzip2 do it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelhub.formats.pickles import Source

_PIECE = 1 << 18
_MOST_STREAMS = 1000
_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zlib:
    """``zlib``'s decompressor with the manners of the others: it keeps what it did not take."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


@dataclass(frozen=True, slots=True)
class Inflated:
    """What came out.

    :param fault: why it is not all of it, or empty.
    """

    data: bytes
    fault: str = ""


Opener = Callable[[], _Decompressor]


def stream_opener(head: bytes) -> tuple[str, Opener] | None:
    """Name and decompressor of the stream that begins with `head`, if it is one that we inflate."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip", lambda: _Zlib(31)
    if head.startswith(_ZLIB_HEADS):
        return "zlib", lambda: _Zlib(15)
    if head.startswith(b"BZh"):
        return "bzip2", bz2.BZ2Decompressor
    if head.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return "xz", lambda: lzma.LZMADecompressor(memlimit=64 << 20)
    return None


def member_opener(method: int) -> Opener | None:
    """The decompressor of a zip member's method, if it is one that we inflate."""
    if method == 8:
        return lambda: _Zlib(-15)
    return bz2.BZ2Decompressor if method == 12 else None


def inflate(source: Source, opener: Opener, limit: int) -> Inflated:
    """At most `limit` bytes of what `source` inflates to.

    What could be inflated before a fault is given too.
    """
    made: list[bytes] = []
    left, at = limit, 0
    inflater = opener()
    data, streams = b"", 1
    try:
        while True:
            wanted = min(left, _PIECE) + 1
            piece = inflater.decompress(data, wanted)
            left -= len(piece)
            made.append(piece)
            if left < 0:
                return Inflated(b"".join(made), "it inflates to more than can be looked at")
            data = b""
            if inflater.eof:
                rest = inflater.unused_data + source.read(at, 16)
                if not rest.strip(b"\0") or streams >= _MOST_STREAMS:
                    break
                data, streams, inflater = inflater.unused_data, streams + 1, opener()
            elif len(piece) < wanted:
                if at >= source.size:
                    return Inflated(b"".join(made), "the compressed stream is cut off")
                data = source.read(at, _PIECE)
                at += len(data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        if streams > 1 and not isinstance(error, OSError):
            return Inflated(b"".join(made), "bytes follow the compressed stream")
        return Inflated(b"".join(made), f"a damaged compressed stream: {error}")
    fault = "a stream of too many parts" if streams >= _MOST_STREAMS else ""
    return Inflated(b"".join(made), fault)
