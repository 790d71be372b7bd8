"""A zip archive, read as strictly as an archive of torch's deserves.

Zip keeps every member's name, size and method twice: in the central directory at the end, by which
readers find members, and in a local header before its data. Scanners have been led astray by the
two being different, by flag bits that readers treat differently, and by bytes before the archive.
Here both must agree, and members must not overlap, or the file is refused.

Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3 (zip64). What torch's own writer
(``caffe2/serialize/inline_container.cc`` over miniz) puts there: members stored, sizes zero in the
local header (flag bit 3), a padding field ``FB`` in its extra data, always a zip64 directory end.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO

from modelhub.errors import FormatError
from modelhub.formats.pickles.source import FilePart, Held, Source

STORED, DEFLATED = 0, 8
MAX_INFLATED = 64 << 20
"""A longer compressed member is not inflated: torch compresses none."""

_MAX_RATIO = 200
_MAX_MEMBERS = 200_000
_MAX_DIRECTORY = 64 << 20
_END = Struct("<4s4H2LH")
_END64 = Struct("<4sQ2H2L4Q")
_LOCATOR = Struct("<4sLQL")
_ENTRY = Struct("<4s6H3L5H2L")
_LOCAL = Struct("<4s5H3L2H")
_USUAL_EXTRA = 128
"""Bytes of the extra field that are read with a local header: torch pads its members with 64."""
_SATURATED = 0xFFFFFFFF
_HAS_DESCRIPTOR = 1 << 3
_ALLOWED_FLAGS = 1 << 1 | 1 << 2 | _HAS_DESCRIPTOR | 1 << 11
"""Two bits of the compression level, a data descriptor, names in UTF-8: the harmless ones."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as the central directory has it; sizes and offsets in bytes."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int


class Archive:
    """The members of the zip archive that `file` is, all `size` bytes of it.

    :raises FormatError: the directory is missing (a truncated download), damaged or misleading.
    :raises FileUnreadable: the file cannot be read.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._part = FilePart(file, size)
        self.members: dict[str, Member] = {}
        """By name, in the order of the directory."""
        self.has_comment = False
        self._limits: dict[str, int] = {}
        start, length, count = self._find_directory()
        self._read_directory(start, length, count)
        self._check_layout(start)

    def position(self, member: Member) -> int:
        """Where the member's data begin in the file, in bytes, once its local header is checked.

        :raises FormatError: the local header says otherwise than the directory.
        """
        head = self._part.read(member.header, _LOCAL.size + len(member.raw_name) + _USUAL_EXTRA)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise FormatError(f"no local header of {member.name}", offset=member.header)
        fields = _LOCAL.unpack_from(head)
        _, _, flags, method, _, _, crc, packed, size, name_size, extra_size = fields
        if len(head) < (length := _LOCAL.size + name_size + extra_size):
            head = self._part.read(member.header, length)
        name = head[_LOCAL.size :][:name_size]
        extra = head[_LOCAL.size + name_size :][:extra_size]
        local = _zip64(extra, (size, packed), member.header)
        if name != member.raw_name or method != member.method or flags != member.flags:
            raise _misleading(member, "its name, flags or method")
        later = bool(flags & _HAS_DESCRIPTOR)
        if local != (member.size, member.packed) and not (later and not any(local)):
            raise _misleading(member, "its size")
        if crc != member.crc and not (later and crc == 0):
            raise _misleading(member, "its checksum")
        start: int = member.header + _LOCAL.size + name_size + extra_size
        if start + member.packed > self._limits[member.name]:
            # The local header may shift the data: only here is it known where they really are.
            raise FormatError(f"{member.name} reaches into what follows", offset=member.header)
        return start

    def limit(self, member: Member) -> int:
        """Where the next member in the file begins, or the directory behind the last, in bytes."""
        return self._limits[member.name]

    def open(self, member: Member) -> Source:
        """The member's bytes: read from the file where they are stored, held where deflated.

        :raises FormatError: it is compressed beyond all bounds, by an unknown method, or damaged.
        """
        start = self.position(member)
        if member.method == STORED:
            return FilePart(self._file, member.size, start)
        if member.size > MAX_INFLATED or member.size > _MAX_RATIO * max(member.packed, 64):
            raise FormatError(
                f"{member.name} would inflate to {member.size:,} bytes", offset=member.header
            )
        inflater = zlib.decompressobj(-15)
        try:
            data = inflater.decompress(self._part.read(start, member.packed), member.size + 1)
        except zlib.error as error:
            raise FormatError(f"{member.name} is damaged: {error}", offset=start) from None
        if len(data) != member.size or not inflater.eof:
            raise FormatError(f"{member.name} has another size than it says", offset=start)
        return Held(data, start)

    def _find_directory(self) -> tuple[int, int, int]:
        """Start, length and number of entries of the central directory."""
        tail_start = max(0, self._part.size - _END.size - 0xFFFF)
        tail = self._part.read(tail_start, self._part.size - tail_start)
        found = tail.rfind(b"PK\5\6")
        if found < 0 or len(tail) - found < _END.size:
            raise FormatError(
                "the archive ends before its directory: the file was never whole",
                offset=self._part.size,
            )
        end_at = tail_start + found
        _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, found)
        if found + _END.size + comment != len(tail):
            raise FormatError("bytes follow the archive's end", offset=end_at)
        self.has_comment = comment > 0
        if disk or first_disk or here != count:
            raise FormatError("an archive in several volumes", offset=end_at)
        ends = end_at
        if found >= _LOCATOR.size and tail[found - _LOCATOR.size :][:4] == b"PK\6\7":
            _, _, end64_at, _ = _LOCATOR.unpack_from(tail, found - _LOCATOR.size)
            declared = (count, length, start)
            count, length, start = self._directory64(end64_at, end_at, declared)
            ends = end64_at
        if start + length != ends:
            raise FormatError("bytes stand before the archive or in its directory", offset=ends)
        if count > _MAX_MEMBERS or length > _MAX_DIRECTORY or count * _ENTRY.size > length:
            raise FormatError(f"a directory of {count:,} members", offset=end_at)
        return start, length, count

    def _directory64(
        self, at: int, end_at: int, declared: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        data = self._part.read(at, _END64.size) if at + _END64.size <= self._part.size else b""
        if len(data) < _END64.size or data[:4] != b"PK\6\6":
            raise FormatError("no zip64 directory end where it should be", offset=end_at)
        _, record, _, _, disk, first_disk, here, count, length, start = _END64.unpack(data)
        if disk or first_disk or here != count or at + 12 + record + _LOCATOR.size != end_at:
            raise FormatError("a damaged zip64 directory end", offset=at)
        limits = (0xFFFF, _SATURATED, _SATURATED)
        for old, new, limit in zip(declared, (count, length, start), limits, strict=True):
            if old not in (new, limit):
                raise FormatError("the two directory ends contradict each other", offset=at)
        return count, length, start

    def _read_directory(self, start: int, length: int, count: int) -> None:
        data = self._part.read(start, length)
        at = 0
        for _ in range(count):
            if at + _ENTRY.size > length or data[at : at + 4] != b"PK\1\2":
                raise FormatError("a damaged directory", offset=start + at)
            fields = _ENTRY.unpack_from(data, at)
            behind = at + _ENTRY.size + sum(fields[10:13])
            if behind > length:
                raise FormatError("a damaged directory", offset=start + at)
            self._add(data[at:behind], fields, start + at)
            at = behind
        if at != length:
            raise FormatError("bytes behind the directory's last entry", offset=start + at)

    def _add(self, entry: bytes, fields: tuple[int, ...], at: int) -> None:
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_size, extra_size, disk, header = fields[10], fields[11], fields[13], fields[16]
        raw_name = entry[_ENTRY.size : _ENTRY.size + name_size]
        extra = entry[_ENTRY.size + name_size :][:extra_size]
        size, packed, header = _zip64(extra, (size, packed, header), at)
        name = _checked_name(raw_name, at)
        if name in self.members:
            raise FormatError(f"two members are named {name}", offset=at)
        if flags & ~_ALLOWED_FLAGS:
            raise FormatError(f"{name} is encrypted or patched (flags {flags:#06x})", offset=at)
        if method not in (STORED, DEFLATED):
            raise FormatError(f"{name} is compressed by method {method}", offset=at)
        if disk or (method == STORED and size != packed):
            raise FormatError(f"{name} contradicts itself in its sizes", offset=at)
        self.members[name] = Member(name, raw_name, flags, method, crc, packed, size, header)

    def _check_layout(self, directory: int) -> None:
        """Each member has its own bytes, the first from the first byte on."""
        behind = 0
        before = ""
        for member in sorted(self.members.values(), key=lambda one: one.header):
            if member.header < behind or (behind == 0 and member.header != 0):
                reason = f"{member.name} overlaps or is out of place"
                raise FormatError(reason, offset=min(behind, directory))
            behind = member.header + _LOCAL.size + len(member.raw_name) + member.packed
            self._limits[before] = member.header
            before = member.name
        self._limits[before] = directory
        if behind > directory:
            raise FormatError("members reach into the directory", offset=directory)


def checksum_holds(source: Source, member: Member) -> bool:
    """Whether the bytes have the checksum that the directory says."""
    crc = 0
    for start in range(0, source.size, 1 << 20):
        crc = zlib.crc32(source.read(start, 1 << 20), crc)
    return crc == member.crc


def _misleading(member: Member, what: str) -> FormatError:
    return FormatError(
        f"the directory and the local header of {member.name} contradict each other in {what}",
        offset=member.header,
    )


def _checked_name(raw: bytes, at: int) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("cp437")
    parts = name.removesuffix("/").split("/")
    if not name.isprintable() or "\\" in name or ":" in name or {"", ".", ".."} & set(parts):
        raise FormatError(f"a member named {name[:200]!r}", offset=at)
    return name


def _zip64(extra: bytes, fields: tuple[int, ...], at: int) -> tuple[int, ...]:
    """The fields, those that are saturated taken from the zip64 field in `extra`."""
    if _SATURATED not in fields:
        return fields
    position = 0
    while position + 4 <= len(extra):
        kind = int.from_bytes(extra[position : position + 2], "little")
        length = int.from_bytes(extra[position + 2 : position + 4], "little")
        if kind == 1:
            return _filled(extra[position + 4 : position + 4 + length], fields, at)
        position += 4 + length
    return fields


def _filled(data: bytes, fields: tuple[int, ...], at: int) -> tuple[int, ...]:
    values = [int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data), 8)]
    result = []
    for field in fields:
        if field == _SATURATED:
            if not values:
                raise FormatError("a damaged zip64 field", offset=at)
            field = values.pop(0)
        result.append(field)
    return tuple(result)
