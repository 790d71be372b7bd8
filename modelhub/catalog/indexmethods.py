"""The catalog's methods for those who look at the disk: roots, scans, hashing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.base import Methods

if TYPE_CHECKING:
    from modelhub.catalog.records import BlobRecord
    from modelhub.catalog.rows import FileState
    from modelhub.catalog.scanning import Prepared
    from modelhub.catalog.scanrows import (
        Hashed,
        InodeMatch,
        KnownFile,
        KnownRow,
        Move,
        Verdict,
        Waiting,
    )
    from modelhub.catalog.showing import RootRow


class IndexMethods(Methods):
    """See the module."""

    # Roots

    def add_root(self, folder: Path, *, layout: str | None = None, watched: bool = False) -> int:
        """Record a folder, new or known, and return its id. Roots of files appear by themselves."""
        from modelhub.catalog import places

        return places.add_root(self._store, self._clock(), folder, layout, watched)

    def roots(self) -> list[RootRow]:
        """The folders that the catalog knows, by path."""
        from modelhub.catalog import places

        return places.roots(self._store)

    def root(self, folder: Path) -> RootRow | None:
        """The root at exactly that folder, or None."""
        from modelhub.catalog import places

        return places.root(self._store, folder)

    def record_scan(
        self,
        root_id: int,
        *,
        device: int | None = None,
        marker: str | None = None,
        seen_files: int | None = None,
        identified_by: int | None = None,
        verdicts_by: int | None = None,
    ) -> None:
        """Record that a scan went through a root, on which file system, and how many files it
        saw: by these the next one tells an emptied folder from one that is not mounted.

        :param identified_by: the rules by which its files were all identified; None: as before.
        :param verdicts_by: the same of the rules by which its pickles were scanned.
        """
        from modelhub.catalog import places

        places.record_scan(
            self._store,
            self._clock(),
            root_id,
            device,
            marker,
            seen_files,
            identified_by,
            verdicts_by,
        )

    def unscanned(self, root_id: int, scanner: int) -> set[str]:
        """The paths, in the catalog's spelling, of those files of a root in which pickles may be
        that were not scanned by these rules or later ones."""
        from modelhub.catalog import verdicts

        return verdicts.unscanned(self._store, root_id, scanner)

    def record_verdicts(self, found: Sequence[Verdict]) -> list[bool]:
        """Record what scans found in files; the contents of those that are hashed keep it.

        :returns: for each, False when the file is gone from the catalog, or is another by now.
        """
        from modelhub.catalog import verdicts

        return verdicts.record_verdicts(self._store, found)

    def count_files(self, root_id: int) -> int:
        """How many files of a root are on disk as far as the catalog knows, parts included."""
        from modelhub.catalog import places

        return places.count_files(self._store, root_id)

    def remove_root(self, root_id: int, *, forget: bool) -> int:
        """Stop watching a root; with `forget`, drop it and its files from the catalog as well.

        What the user wrote hangs on the contents and is kept in any case.

        :returns: how many files were dropped.
        """
        from modelhub.catalog import places

        return places.remove_root(self._store, root_id, forget=forget)

    # Scans

    def known_files(self, root_id: int, below: str = "") -> Iterator[KnownFile]:
        """The files of a root, missing ones too, in the byte order of their paths.

        Read page by page: constant memory, and nobody is kept from writing between two pages.

        :param below: a folder in the catalog's spelling: only what is in it.
        """
        from modelhub.catalog import known

        return known.known_files(self._store, root_id, below)

    def known_rows(self, root_id: int, below: str = "") -> Iterator[KnownRow]:
        """The same files as :meth:`known_files` gives, as plain tuples: they take half the time."""
        from modelhub.catalog import known

        return known.known_rows(self._store, root_id, below)

    def files_at(self, root_id: int, paths: Sequence[str]) -> list[KnownFile]:
        """Those files of a root that are recorded at one of these paths, which are in the catalog's
        spelling; in the byte order of their paths."""
        from modelhub.catalog import known

        return known.files_at(self._store, root_id, paths)

    def record_scanned(self, root_id: int, files: Sequence[Prepared]) -> None:
        """Record what a scan saw, in one transaction: about 500 at a time are quick and short.

        A new file is ``new``; a known one keeps its blob, and becomes ``changed`` when its size or
        mtime is another. What was found before in it, and its fault, are replaced.
        """
        from modelhub.catalog import indexing

        indexing.record_scanned(self._store, root_id, files)

    def find_by_inode(self, stats: Sequence[tuple[int, int, int]]) -> list[InodeMatch]:
        """The known files, in any root and state, with one of these (inode, size, mtime_ns)."""
        from modelhub.catalog import indexing

        return indexing.find_by_inode(self._store, stats)

    def touch(self, stats: Sequence[tuple[int, int, int, int | None]]) -> None:
        """Record for files, given as (id, size, mtime_ns, inode), that their content is what it
        was and only this has changed; they are on disk."""
        from modelhub.catalog import indexing

        indexing.touch(self._store, stats)

    def set_state(self, file_ids: Iterable[int], state: FileState) -> None:
        """Record that files are missing, back, or set aside."""
        from modelhub.catalog import recording

        recording.set_state(self._store, self._clock(), tuple(file_ids), state)

    def record_moved(self, file_id: int, *, root: Path, path: Path) -> None:
        """Record that a file has another place now; `path` is relative to `root`.

        :raises UnknownFile: there is no such file.
        :raises NameTaken: the catalog knows another file at that place.
        """
        from modelhub.catalog import recording

        recording.record_moved(self._store, self._clock(), file_id, root, path)

    def record_moved_many(self, moves: Sequence[Move]) -> None:
        """Record moves that a scan saw, all at once, so that files may swap their names.

        A missing file is on disk again by that. A file that was recorded at one of the new places,
        and does not move itself, was replaced there, and is forgotten.
        """
        from modelhub.catalog import places

        places.record_moved(self._store, moves)

    # Hashing

    def count_waiting(self) -> int:
        """How many files wait to be hashed, parts of models included."""
        from modelhub.catalog import known

        return known.count_waiting(self._store)

    def unhashed(
        self, limit: int, *, without: Collection[int] = (), root_id: int | None = None
    ) -> list[Waiting]:
        """Files that wait to be hashed, new and changed ones, in the order in which to hash them:
        first those written within the last hour, then within the last day, week, month, then
        older ones; among these the smallest first.

        :param without: ids of files to leave out: those that could not be read just now.
        """
        from modelhub.catalog import hashing

        return hashing.unhashed(self._store, self._clock(), limit, without, root_id)

    def record_hashed(
        self,
        file_id: int,
        *,
        size: int,
        mtime_ns: int,
        blob: BlobRecord,
        fault: str | None = None,
    ) -> bool:
        """Record the content of a file. What was found in the file before completes `blob`.

        :param size: of the file when it was read, as `mtime_ns`.
        :param fault: the fault that the file still has; None clears the one it had.
        :returns: False when the file is gone from the catalog, or is another by now.
        """
        from modelhub.catalog import hashing
        from modelhub.catalog.scanrows import Hashed

        one = Hashed(file_id, size, mtime_ns, blob, fault)
        return hashing.record_hashed(self._store, self._clock(), [one])[0]

    def record_hashed_many(self, hashed: Sequence[Hashed]) -> list[bool]:
        """As :meth:`record_hashed`, for several files in one transaction."""
        from modelhub.catalog import hashing

        return hashing.record_hashed(self._store, self._clock(), hashed)

    def record_same_content(self, file_id: int, blob_id: int, *, size: int, mtime_ns: int) -> bool:
        """Record that a file has the content of another, as a hard link of it has.

        :returns: False when the file is gone or another by now, or the content is of another size.
        """
        from modelhub.catalog import hashing

        return hashing.record_same_content(self._store, file_id, blob_id, size, mtime_ns)
