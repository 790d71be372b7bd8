"""Tar archives: torch's oldest form, and any other.

Format: POSIX ``ustar``: blocks of 512 bytes, a header before each member. ``torch.load`` opens a
tar before it tries anything else, whatever the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.errors import FormatError
from modelhub.formats.pickles import Source
from modelhub.formats.scan.parts import Part, as_file
from modelhub.formats.scan.pickled import settle, try_pickles
from modelhub.formats.scan.tally import Tally
from modelhub.formats.scan.watched import Watched
from modelhub.formats.torchfile.tarred import load_tar

if TYPE_CHECKING:
    from tarfile import TarInfo

_FILES = (b"0", b"\0", b"7")
_BLOCK = 512
_NUMBER = re.compile(rb"\s*[-+]?[0-7oO_]*\s*(\0.*)?", re.DOTALL)
"""What :mod:`tarfile` may take for a number in a header, base 256 aside."""
_TORCH = frozenset({"sys_info", "pickle", "tensors", "storages"})
_INTERLEAVED = frozenset({"tensors", "storages"})
_ABOUT_OTHERS = b"LKxgX"
_MOST_OF_THOSE = 1 << 20
_CHANGING = (b"size=", b"GNU.sparse", *(name.encode() for name in sorted(_TORCH)))
"""In a header about others: what changes how long the next member is, or which one."""

Examine = Callable[[Tally, Source, str, int], None]


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    content: Part


def is_tar(head: bytes) -> bool:
    """Whether the first block is the header of a tar member."""
    return _header(head[:_BLOCK]) is not None


def scan_tar(tally: Tally, source: Source, where: str, depth: int, examine: Examine) -> None:
    """Look into each member; into torch's own form as its reader does."""
    try:
        members = list(_members(tally, source, where))
    except FormatError as error:
        tally.fault_of(where, error)
        return
    is_torch = {one.name for one in members} >= _TORCH and _scan_torch(tally, source, where, depth)
    for one in members:
        inner = f"{where}:{one.name}" if where else one.name
        if not tally.may_enter(inner, depth + 1):
            return
        if is_torch and one.name in _INTERLEAVED:
            # Its pickles stand between numbers, where the reader of the form has found them all.
            try_pickles(tally, one.content, inner, depth + 1, may_break=True)
        else:
            examine(tally, one.content, inner, depth + 1)


def _scan_torch(tally: Tally, source: Source, where: str, depth: int) -> bool:
    """The pickles in torch's form, where its reader finds them; whether it is whole."""
    machines: list[Watched] = []

    def machine_for(part: Source) -> Watched:
        machines.append(tally.machine(part))
        return machines[-1]

    try:
        load_tar(as_file(source), source.size, machine_for)
    except FormatError as error:
        tally.fault_of(where, error)
        return False
    finally:
        for one in machines:
            settle(tally, one, where, depth)
    return True


def _members(tally: Tally, source: Source, where: str) -> Iterator[_Member]:
    at = 0
    while at + _BLOCK <= source.size:
        block = source.read(at, _BLOCK)
        if not block.strip(b"\0"):
            rest = source.read(at, min(source.size - at, 1 << 16))
            if rest.strip(b"\0"):
                tally.fault(where, "bytes follow the tar's end mark", source.origin + at)
            return
        header = _header(block)
        if header is None:
            tally.fault(where, "a damaged tar header", source.origin + at)
            return
        size = header.size
        if size < 0 or at + _BLOCK + size > source.size:
            tally.fault(where, "a tar member that is cut off", source.origin + at)
            size = source.size - at - _BLOCK
        content = Part(source, at + _BLOCK, size)
        if header.type in _FILES:
            yield _Member(header.name.removeprefix("./"), content)
        elif header.type[0] in _ABOUT_OTHERS:
            _look_at_changes(tally, content, where)
        elif size or header.linkname:
            tally.fault(where, "a tar member of an unusual kind", source.origin + at)
            yield _Member("(unusual)", content)
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
    tally.notice("a tar without its end mark")


def _look_at_changes(tally: Tally, content: Part, where: str) -> None:
    data = content.read(0, min(content.size, _MOST_OF_THOSE))
    if content.size > _MOST_OF_THOSE or any(word in data for word in _CHANGING):
        tally.fault(where, "a tar header that changes the next one", content.origin)


def _header(block: bytes) -> TarInfo | None:
    """The header as Python's own reader has it, which is torch's too; None for other bytes."""
    if len(block) < _BLOCK:
        return None
    checksum = block[148:156]
    if checksum[0] not in (0x80, 0xFF) and not _NUMBER.fullmatch(checksum):
        return None
    import tarfile

    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return None
