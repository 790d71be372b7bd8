"""The partial file: made or found again, written at any offset by any thread, synced, removed."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from modelhub.disk import reserve
from modelhub.errors import NameTaken
from modelhub.transfer.journal import Extent, Head, Journal, State, read

_LONGEST_NAME = 255
_OPEN = os.O_RDWR | os.O_NOFOLLOW | getattr(os, "O_CLOEXEC", 0)


class Closed(Exception):
    """The partial file was closed while a thread still wanted to write to it."""


@dataclass(frozen=True, slots=True)
class PartialPaths:
    """The three files of a download under way."""

    data: Path
    journal: Path
    lock: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> PartialPaths:
        """The paths for `name` in `folder`; a name too long for the disk is shortened.

        :raises ValueError: `name` is no plain file name.
        """
        if not name or "/" in name or "\0" in name:
            raise ValueError(f"not a file name: {name!r}")
        longest = _LONGEST_NAME - len("..part.journal")
        encoded = os.fsencode(name)
        if len(encoded) > longest:
            mark = "~" + sha256(encoded).hexdigest()[:12]
            start = encoded[: longest - len(mark)].decode("utf-8", "ignore")
            name = start + mark
        return cls.beside(folder / f".{name}.part")

    @classmethod
    def beside(cls, data: Path) -> PartialPaths:
        """The paths that belong to the partial file `data`."""
        return cls(
            data, data.with_name(data.name + ".journal"), data.with_name(data.name + ".lock")
        )

    def remove(self) -> None:
        """Remove data and journal, if they are there; the lock stays."""
        self.data.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


def find_state(paths: PartialPaths) -> State | None:
    """What an earlier run left behind; None when that is nothing, or nothing usable.

    :raises NameTaken: something that is no file has the name.
    :raises OSError: the disk refuses.
    """
    try:
        found = paths.data.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise NameTaken(f"{paths.data} is no regular file", hint="move it away")
    # With a second name, the file is somebody's: it must not be written to.
    return read(paths.journal) if found.st_nlink == 1 else None


def allocated(path: Path) -> int:
    """How many bytes of disk `path` takes now, 0 when it is not there."""
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0


class Partial:
    """The open partial file with its journal (none when the download cannot be resumed)."""

    def __init__(self, paths: PartialPaths, handle: int, journal: Journal | None) -> None:
        self.paths = paths
        self._handle = handle
        self._journal = journal
        self._users = 0
        self._closed = False
        self._lock = threading.Lock()

    @classmethod
    def create(cls, paths: PartialPaths, head: Head | None) -> Partial:
        """Begin anew: what was there of the same download is removed."""
        paths.remove()
        # The journal first: a partial file without a journal is never taken for complete.
        journal = Journal.create(paths.journal, head) if head else None
        try:
            handle = os.open(paths.data, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError:
            if journal:
                journal.close()
            raise
        return cls(paths, handle, journal)

    @classmethod
    def resume(cls, paths: PartialPaths, state: State) -> Partial:
        """Go on with what an earlier run left."""
        handle = os.open(paths.data, _OPEN)
        try:
            journal = Journal.append_to(paths.journal, state)
        except OSError:
            os.close(handle)
            raise
        return cls(paths, handle, journal)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[int]:
        with self._lock:
            if self._closed:
                raise Closed
            self._users += 1
        try:
            yield self._handle
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and self._users == 0:
            os.close(self._handle)
            if self._journal is not None:
                self._journal.close()

    @property
    def resumable(self) -> bool:
        """Whether a later run can go on with it."""
        return self._journal is not None

    def reserve(self, size: int, *, space: bool, between: Callable[[], None]) -> None:
        """Give the file its length, and with `space` its room on the disk.

        :param between: called now and then; may end it by an exception.
        """
        with self._in_use() as handle:
            if space:
                reserve(handle, size, between)
            else:
                os.ftruncate(handle, size)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        with self._in_use() as handle:
            done = os.pwrite(handle, data, offset)
            while done < len(data):
                done += os.pwrite(handle, memoryview(data)[done:], offset + done)

    def read(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; fewer bytes only at the end of the file."""
        filled = 0
        with self._in_use() as handle:
            while filled < len(buffer):
                count = os.preadv(handle, [buffer[filled:]], offset + filled)
                if count == 0:
                    break
                filled += count
        return filled

    def record(self, extent: Extent) -> None:
        """Note in the journal that `extent` was written."""
        if self._journal is not None:
            with self._in_use():
                self._journal.add(extent)

    def sync(self) -> None:
        """Force what was written to the disk, then the journal that speaks of it."""
        with self._in_use() as handle:
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(handle)
            if self._journal is not None:
                self._journal.sync()

    def set_size(self, size: int) -> None:
        """Cut the file to its true length, once that is known."""
        with self._in_use() as handle:
            os.ftruncate(handle, size)

    def close(self) -> None:
        """Refuse all further use with :class:`Closed`; the last user under way closes the files."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._close_if_idle()
