"""Zip archives: torch's checkpoints, numpy's ``.npz``, and any other.

What a strict reader takes (:class:`~modelhub.formats.torchfile.archive.Archive`) is looked through
member by member, whatever their names. What it refuses is at best suspicious; the members are then
searched for in the bytes (:mod:`modelhub.formats.scan.broken_zips`), since other readers may well
open it.
"""

from __future__ import annotations

from collections.abc import Callable

from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Source
from modelhub.formats.scan.broken_zips import scan_broken_zip
from modelhub.formats.scan.parts import Part, as_file
from modelhub.formats.scan.pickled import may_be_pickle, scan_pickles, try_pickles
from modelhub.formats.scan.streams import inflate, member_opener
from modelhub.formats.scan.tally import Tally, shown
from modelhub.formats.torchfile.archive import MAX_INFLATED, STORED, Archive, Member, checksum_holds

ZIP_MAGICS = (b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\7\x08")
_TREE = "data.pkl"
_SNIFFED = 16
_LONGEST_DESCRIPTOR = 24
_MOST_CHECKED = 256 << 20
"""Of how many bytes of pickles the checksums are compared, in one archive."""

Examine = Callable[[Tally, Source, str, int], None]


def scan_zip(tally: Tally, source: Source, where: str, depth: int, examine: Examine) -> None:
    """Look into each member of the archive that `source` is from its first byte on."""
    try:
        archive = Archive(as_file(source), source.size)
        starts = {name: archive.position(one) for name, one in archive.members.items()}
    except FormatError as error:
        tally.fault(where, error.reason, source.origin + error.offset)
        scan_broken_zip(tally, source, where, depth, examine)
        return
    _Members(tally, source, where, depth, examine).scan(archive, starts)


class _Members:
    def __init__(
        self, tally: Tally, source: Source, where: str, depth: int, examine: Examine
    ) -> None:
        self._tally = tally
        self._source = source
        self._where = where
        self._depth = depth
        self._examine = examine
        self._unchecked = _MOST_CHECKED

    def scan(self, archive: Archive, starts: dict[str, int]) -> None:
        names = archive.members.keys()
        folders = [name.removesuffix(_TREE) for name in names if name.endswith(_TREE)]
        storages = tuple(f"{folder}data/" for folder in folders if folder.count("/") == 1)
        self._note(archive, folders)
        self._look_between(archive, starts)
        for name, member in archive.members.items():
            inner = shown(f"{self._where}:{name}" if self._where else name)
            if not self._tally.may_enter(inner, self._depth + 1):
                return
            packed = Part(self._source, starts[name], member.packed)
            if storages and member.method == STORED and name.startswith(storages):
                self._sniff(packed, inner)
            else:
                self._look_into(member, packed, inner)

    def _look_between(self, archive: Archive, starts: dict[str, int]) -> None:
        """What no member owns: readers that go from header to header find members there."""
        for name, member in archive.members.items():
            end = starts[name] + member.packed
            gap = archive.limit(member) - end
            if gap > _LONGEST_DESCRIPTOR:
                at = self._source.origin + end
                self._tally.fault(self._where, "bytes between its members that none owns", at)
                part = Part(self._source, end, gap)
                scan_broken_zip(self._tally, part, self._where, self._depth, self._examine)

    def _note(self, archive: Archive, folders: list[str]) -> None:
        names = archive.members.keys()
        if any(name.startswith(f"{folder}code/") for folder in folders for name in names):
            self._tally.fault(
                self._where,
                "a TorchScript archive: loading it runs code of its own language",
            )
        if archive.has_comment:
            self._tally.notice("the archive has a comment")

    def _sniff(self, storage: Part, where: str) -> None:
        """A storage is numbers: it is looked at as a pickle only where it begins like one."""
        if may_be_pickle(storage.read(0, _SNIFFED)):
            try_pickles(self._tally, storage, where, self._depth + 1)

    def _look_into(self, member: Member, packed: Part, where: str) -> None:
        content = self._content(member, packed, where)
        before = self._tally.pickles
        self._examine(self._tally, content, where, self._depth + 1)
        if self._tally.pickles == before:
            if not member.name.endswith(".pkl"):
                return
            scan_pickles(self._tally, content, where, self._depth + 1)
        if content.size > self._unchecked:
            self._tally.fault(where, "too long to compare its checksum", packed.origin)
            return
        self._unchecked -= content.size
        if content.size == member.size and not checksum_holds(content, member):
            self._tally.fault(where, "its checksum is wrong", packed.origin)

    def _content(self, member: Member, packed: Part, where: str) -> Source:
        opener = member_opener(member.method)
        if opener is None:
            return packed
        limit = min(MAX_INFLATED, self._tally.may_inflate())
        made = inflate(packed, opener, limit)
        self._tally.inflated(len(made.data))
        if made.fault or len(made.data) != member.size:
            self._tally.fault(
                where, made.fault or "it has another size than it says", packed.origin
            )
        return Held(made.data, packed.origin)
