"""Zip archives that a strict reader refuses: damaged, cut off, encrypted, or made to mislead.

Readers differ in what they make of such a file (which of two names, which flags, which sizes), and
an attacker picks the one that the victim uses. So every local header that can be found is looked
behind, whether the directory names it or not, with its own method and the directory's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from modelhub.formats.pickles import Held, Source
from modelhub.formats.scan.parts import Part
from modelhub.formats.scan.streams import inflate, member_opener
from modelhub.formats.scan.tally import Tally, shown
from modelhub.formats.torchfile.archive import DEFLATED, MAX_INFLATED, STORED

_LOCAL = Struct("<4s5H3L2H")
_ENTRY = Struct("<4s6H3L5H2L")
_MOST_SEARCHED = 512 << 20
_TAIL = 64 << 20
_MOST_MEMBERS = 5_000
_PIECE = 1 << 20
_ENCRYPTED = 1

Examine = Callable[[Tally, Source, str, int], None]


@dataclass(frozen=True, slots=True)
class _Found:
    """A header, wherever it stands."""

    at: int
    name: str
    flags: int
    method: int
    packed: int
    local: int
    """Where the local header is, as this header has it."""
    data: int
    """Where the data begin; 0 in the directory."""


def scan_broken_zip(tally: Tally, source: Source, where: str, depth: int, examine: Examine) -> None:
    """Look into all that might be a member."""
    headers = _Headers(source)
    if headers.is_partial:
        tally.fault(
            where, "it is too long, or has too many members, to look into all of it", source.origin
        )
    for one, method, size in headers.members():
        inner = shown(f"{where}:{one.name}" if where else one.name)
        if not tally.may_enter(inner, depth + 1):
            return
        packed = Part(source, one.data, size)
        if one.flags & _ENCRYPTED:
            tally.fault(inner, "it says that it is encrypted", packed.origin)
        if method == STORED:
            examine(tally, packed, inner, depth + 1)
            continue
        opener = member_opener(method)
        if opener is None:
            tally.fault(inner, f"compressed by method {method}", packed.origin)
            continue
        made = inflate(packed, opener, min(MAX_INFLATED, tally.may_inflate()))
        tally.inflated(len(made.data))
        if made.fault:
            tally.fault(inner, made.fault, packed.origin)
        examine(tally, Held(made.data, packed.origin), inner, depth + 1)


class _Headers:
    """All headers in the searched parts of `source`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.is_partial = source.size > _MOST_SEARCHED + _TAIL
        self._locals: list[_Found] = []
        self._directory: dict[int, list[_Found]] = {}
        for at, magic in self._search():
            if magic == b"PK\3\4":
                self._add_local(at)
            else:
                self._add_entry(at)

    def members(self) -> Iterator[tuple[_Found, int, int]]:
        """Each local header, with each method and number of bytes that its data may have."""
        ends = [one.at for one in self._locals[1:]] + [self._source.size]
        for one, end in zip(self._locals, ends, strict=False):
            entries = self._directory.get(one.at, [])
            room = end - one.data
            sizes = [n for n in (one.packed, *(entry.packed for entry in entries)) if n > 0]
            longest = max([n for n in sizes if one.data + n <= self._source.size], default=room)
            methods = {one.method, *(entry.method for entry in entries)}
            if not methods & {STORED, DEFLATED}:
                methods.add(STORED)
            for method in sorted(methods):
                yield one, method, longest

    def _search(self) -> Iterator[tuple[int, bytes]]:
        size = self._source.size
        yield from self._search_in(0, min(size, _MOST_SEARCHED))
        if size > _MOST_SEARCHED:
            yield from self._search_in(max(_MOST_SEARCHED, size - _TAIL), size)

    def _search_in(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        while start < end:
            # Three bytes more: a header's magic may be cut in two.
            data = self._source.read(start, min(_PIECE, end - start) + 3)
            at = data.find(b"PK")
            while 0 <= at < _PIECE:
                if data[at + 2 : at + 4] in (b"\3\4", b"\1\2"):
                    yield start + at, data[at : at + 4]
                at = data.find(b"PK", at + 1)
            start += _PIECE

    def _add_local(self, at: int) -> None:
        head = self._source.read(at, _LOCAL.size)
        self.is_partial |= len(self._locals) >= _MOST_MEMBERS
        if len(head) < _LOCAL.size or len(self._locals) >= _MOST_MEMBERS:
            return
        _, _, flags, method, _, _, _, packed, _, name_size, extra_size = _LOCAL.unpack(head)
        data = at + _LOCAL.size + name_size + extra_size
        if data <= self._source.size:
            name = self._name(at + _LOCAL.size, name_size)
            self._locals.append(_Found(at, name, flags, method, packed, at, data))

    def _add_entry(self, at: int) -> None:
        head = self._source.read(at, _ENTRY.size)
        self.is_partial |= len(self._directory) >= _MOST_MEMBERS
        if len(head) < _ENTRY.size or len(self._directory) >= _MOST_MEMBERS:
            return
        fields = _ENTRY.unpack(head)
        name = self._name(at + _ENTRY.size, fields[10])
        found = _Found(at, name, fields[3], fields[4], fields[8], fields[16], 0)
        entries = self._directory.setdefault(found.local, [])
        if len(entries) < 4:
            entries.append(found)

    def _name(self, at: int, size: int) -> str:
        return self._source.read(at, min(size, 300)).decode("utf-8", "replace")
