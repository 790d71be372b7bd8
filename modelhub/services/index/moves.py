"""New files that are old ones at another place: found by inode, size and mtime, in any root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.paths import decode_path
from modelhub.services.index.walk import Seen

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.scanrows import InodeMatch

GONE = (FileNotFoundError, NotADirectoryError)
"""What tells that nothing is at a path; everything else says that it cannot be told."""


class Moves:
    """Finds and records moves.

    :param roots: the folders of all roots by number.
    """

    def __init__(self, catalog: Catalog, roots: dict[int, Path]) -> None:
        self._catalog = catalog
        self._roots = roots
        self.moved: set[int] = set()
        """The files that were recorded at a new place in this run."""

    def follow(
        self, root_id: int, fresh: Sequence[Seen]
    ) -> tuple[list[tuple[Seen, Path]], list[Seen]]:
        """Record those of the new files of a root that have moved there.

        :returns: the moved ones with their old places, and the others.
        """
        from modelhub.catalog.scanrows import Move

        by_stat: dict[tuple[int, int, int], list[InodeMatch]] = {}
        for match in self._catalog.find_by_inode([_stat(seen) for seen in fresh]):
            by_stat.setdefault((match.inode % 2**64, match.size, match.mtime_ns), []).append(match)
        moved: list[tuple[Seen, Path]] = []
        others: list[Seen] = []
        moves: list[Move] = []
        for seen in fresh:
            found = self._mover(by_stat.get(_stat(seen), ()), root_id, seen)
            if found is None:
                others.append(seen)
                continue
            self.moved.add(found.id)
            moved.append((seen, self._place(found)))
            moves.append(Move(found.id, root_id, seen.path))
        if moves:
            self._catalog.record_moved_many(moves)
        return moved, others

    def _mover(self, matches: Sequence[InodeMatch], root_id: int, seen: Seen) -> InodeMatch | None:
        """The known file that is at another place now: at `seen`."""
        for match in matches:
            if match.id in self.moved or match.root_id not in self._roots:
                continue
            old, new = self._place(match), self._roots[root_id] / decode_path(seen.path)
            if old == new and match.root_id != root_id:
                return match  # in the inner one of two roots now
            try:
                os.lstat(old)
            except GONE:
                return match
            except OSError:
                continue
        return None

    def _place(self, match: InodeMatch) -> Path:
        return self._roots[match.root_id] / decode_path(match.path)


def _stat(seen: Seen) -> tuple[int, int, int]:
    return seen.inode % 2**64, seen.size, seen.mtime_ns
