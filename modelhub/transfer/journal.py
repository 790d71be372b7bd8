"""The journal of a partial file: which ranges of it were written, each with a digest.

Only ever appended to, so that whatever a kill or a power cut leaves is a valid beginning. A
record counts when its own checksum fits; its bytes count when their digest fits, which is checked
before they are used. So the order in which data and journal reach the disk does not matter.

Layout: the magic line; length and CRC32 of the head (two little-endian 32-bit numbers); the head
as JSON; then records of 32 bytes: offset (64 bits), length (32), the first 16 bytes of the BLAKE3
of the range, and the CRC32 (32) of all that, seeded with the head's CRC32, so that records of
another journal never fit.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from modelhub.transfer.ranges import RangeSet

MAGIC = b"modelhub partial file 1\n"
DIGEST_BYTES = 16
MAX_EXTENT = 4 << 20
"""No record speaks of more bytes: so much is read at once to check one."""

_MAX_JOURNAL = 256 << 20
_MAX_HEAD = 1 << 16
_SIZES = struct.Struct("<II")
_BODY = struct.Struct(f"<QI{DIGEST_BYTES}s")
_RECORD_BYTES = _BODY.size + 4


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the partial file is a part of.

    :param size: of the whole file, in bytes.
    :param etag: the server's strong ETag.
    :param modified: its Last-Modified.
    :param hashes: the published ones, by name.
    """

    size: int
    etag: str | None = None
    modified: str | None = None
    hashes: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of the file with the digest of its bytes."""

    offset: int
    length: int
    digest: bytes

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class State:
    """A journal as read back: `length` bytes of it are valid."""

    head: Head
    head_crc: int
    extents: tuple[Extent, ...]
    length: int


def _encode_head(head: Head) -> tuple[bytes, int]:
    text = msgspec.json.encode(head)
    crc = zlib.crc32(text)
    return MAGIC + _SIZES.pack(len(text), crc) + text, crc


def _encode_record(extent: Extent, head_crc: int) -> bytes:
    body = _BODY.pack(extent.offset, extent.length, extent.digest)
    return body + zlib.crc32(body, head_crc).to_bytes(4, "little")


def parse(data: bytes) -> State | None:
    """What a journal says; None when its head is damaged or is none of ours.

    Records end at the first that does not fit. Where two speak of the same bytes, the later one
    is right: bytes are written again only when the first ones were found bad.
    """
    start = len(MAGIC) + _SIZES.size
    if not data.startswith(MAGIC) or len(data) < start:
        return None
    head_length, head_crc = _SIZES.unpack_from(data, len(MAGIC))
    text = data[start : start + head_length]
    if head_length > _MAX_HEAD or len(text) < head_length or zlib.crc32(text) != head_crc:
        return None
    try:
        head = msgspec.json.decode(text, type=Head)
    except msgspec.MsgspecError:
        return None
    if head.size < 0:
        return None
    records, length = _parse_records(data, start + head_length, head_crc, head.size)
    return State(head, head_crc, _without_overlaps(records), length)


def _parse_records(
    data: bytes, position: int, head_crc: int, size: int
) -> tuple[list[Extent], int]:
    found: list[Extent] = []
    while position + _RECORD_BYTES <= len(data):
        body = data[position : position + _BODY.size]
        crc = int.from_bytes(data[position + _BODY.size : position + _RECORD_BYTES], "little")
        offset, length, digest = _BODY.unpack(body)
        fits = 0 < length <= MAX_EXTENT and offset + length <= size
        if zlib.crc32(body, head_crc) != crc or not fits:
            break
        found.append(Extent(offset, length, digest))
        position += _RECORD_BYTES
    return found, position


def _without_overlaps(records: list[Extent]) -> tuple[Extent, ...]:
    taken = RangeSet()
    kept = []
    for extent in reversed(records):
        if not taken.overlaps(extent.offset, extent.end):
            taken.add(extent.offset, extent.end)
            kept.append(extent)
    return tuple(sorted(kept, key=lambda extent: extent.offset))


def read(path: Path) -> State | None:
    """The journal at `path`; None when there is none, or it is damaged.

    :raises OSError: it is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_JOURNAL + 1)
    except FileNotFoundError:
        return None
    return parse(data) if len(data) <= _MAX_JOURNAL else None


class Journal:
    """A journal that is written to. Records from several threads may be added."""

    def __init__(self, handle: int, head_crc: int) -> None:
        self._handle = handle
        self._head_crc = head_crc
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, head: Head) -> Journal:
        """Begin a new journal; `path` must be free."""
        text, crc = _encode_head(head)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        journal = cls(handle, crc)
        try:
            journal._write(text)
        except OSError:
            os.close(handle)
            path.unlink()
            raise
        return journal

    @classmethod
    def append_to(cls, path: Path, state: State) -> Journal:
        """Go on with the journal that `state` was read from, without its damaged end."""
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        os.ftruncate(handle, state.length)
        return cls(handle, state.head_crc)

    def _write(self, data: bytes) -> None:
        with self._lock:
            done = os.write(self._handle, data)
            while done < len(data):
                # A disk that fills up takes the first bytes only; the next write says so.
                done += os.write(self._handle, data[done:])

    def add(self, extent: Extent) -> None:
        """Record that the bytes of `extent` were written. One system call: never interleaved.

        :raises OSError: the disk is full, or worse.
        """
        self._write(_encode_record(extent, self._head_crc))

    def sync(self) -> None:
        """Force the records to the disk."""
        (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
