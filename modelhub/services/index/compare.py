"""What is on disk against what the catalog knows: two streams in the same order, merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from modelhub.services.index.walk import Chunk, Seen

if TYPE_CHECKING:
    from modelhub.catalog.scanrows import KnownFile, KnownRow

_MISSING = "missing"
_HIGHEST = 2**63 - 1
"""A 64-bit column holds no more; a time beyond it is kept as this."""


_END: KnownRow = (0, "", 0, 0, None, "", None, None)
"""After the last row; no file has an empty path."""


class Sink(Protocol):
    """Who is told of the differences."""

    def on_new(self, seen: Seen) -> None:
        """The catalog does not know the file."""

    def on_changed(self, seen: Seen, known: KnownFile) -> None:
        """Size, mtime or inode differ, or what model it is a part of."""

    def on_stale(self, seen: Seen) -> None:
        """It is as it was known, by rules that may have improved since."""

    def on_back(self, seen: Seen, known: KnownFile) -> None:
        """It was missing, and is here again as it was."""

    def on_gone(self, known: KnownFile) -> None:
        """It was not met on disk; told of missing files as well."""

    def on_chunk(self, number: int) -> None:
        """So many more files have been compared."""


def compare(
    chunks: Iterator[Chunk],
    known: Iterable[KnownRow],
    sink: Sink,
    *,
    inodes_tell: bool,
    anew: bool = False,
) -> int:
    """Tell `sink` of every difference; the number of files that are as they were known.

    :param chunks: of :meth:`Walk.chunks`, and so in the order of the paths' bytes.
    :param known: of the same part of the root, in the same order.
    :param inodes_tell: whether another inode means another file on this file system.
    :param anew: whether what has not changed is to be read again as well.
    """
    from modelhub.catalog.scanrows import KnownFile

    unchanged = 0
    rows = iter(known)
    row = next(rows, _END)
    for chunk in chunks:
        for item in chunk:
            path, size, mtime, inode, part_of = item
            while row[1] < path:
                if row is _END:
                    break
                sink.on_gone(KnownFile._make(row))
                row = next(rows, _END)
            if row[1] != path:
                sink.on_new(Seen._make(item))
                continue
            if (
                row[2] == size
                and row[3] == mtime
                and (row[4] == inode or not inodes_tell)
                and row[5] != _MISSING
                and (row[7] is None) is (part_of is None)
            ):
                unchanged += 1
                if anew:
                    sink.on_stale(Seen._make(item))
            else:
                known_file = KnownFile._make(row)
                unchanged += _differing(Seen._make(item), known_file, sink, inodes_tell=inodes_tell)
            row = next(rows, _END)
        sink.on_chunk(len(chunk))
    while row is not _END:
        sink.on_gone(KnownFile._make(row))
        row = next(rows, _END)
    return unchanged


def compare_one(
    seen: Seen, known: KnownFile | None, sink: Sink, *, inodes_tell: bool, anew: bool = False
) -> int:
    """The same for a single file; 1 if it is as it was known."""
    if known is None:
        sink.on_new(seen)
        return 0
    unchanged = _differing(seen, known, sink, inodes_tell=inodes_tell)
    if unchanged and anew:
        sink.on_stale(seen)
    return unchanged


def _differing(seen: Seen, known: KnownFile, sink: Sink, *, inodes_tell: bool) -> int:
    same = (
        known.size == seen.size
        and _kept(known.mtime_ns) == _kept(seen.mtime_ns)
        and (not inodes_tell or known.inode is None or known.inode % 2**64 == seen.inode)
        and (known.part_of is None) is (seen.part_of is None)
    )
    if not same:
        sink.on_changed(seen, known)
    elif known.state == _MISSING:
        sink.on_back(seen, known)
    else:
        return 1
    return 0


def _kept(number: int) -> int:
    """`number` as the catalog keeps it."""
    return max(-_HIGHEST, min(number, _HIGHEST))
