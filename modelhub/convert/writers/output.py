"""The file that a result is written to: space for it, its bytes, and their way to the disk.

Bytes that are only copied go through memory too. Measured on ext4 with a file in memory: the
kernel's copy_file_range(2) needs 2.5 times as long where source and target are not aligned to each
other, which tensors never are; and two threads with blocks that fit a processor's cache are faster
than it is on aligned ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import BinaryIO, Self

from modelhub.disk import disk_errors, linux_call, require_space
from modelhub.errors import NameTaken
from modelhub.whole_files import new_file

WHEN_FULL = "free some space, or choose another folder; nothing was left behind"
_WORTH_SENDING = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2


@contextlib.contextmanager
def result_file(target: Path, size: int) -> Iterator[BinaryIO]:
    """A new file of about `size` bytes that gets the name `target` if the block succeeds.

    :raises NameTaken: there is something of that name.
    :raises DiskError: the disk is full, or refused.
    """
    if os.path.lexists(target):
        raise taken(target)
    with disk_errors(target, when_full=WHEN_FULL):
        require_space(target.parent, size, when_full=WHEN_FULL)
        try:
            with new_file(target) as file:
                yield file
        except FileExistsError as error:
            raise taken(target) from error


def taken(target: Path) -> NameTaken:
    """What to tell of a target whose name is not free."""
    return NameTaken(
        f"{target} is there already", hint="choose another name, or move that one away first"
    )


def write_fully(descriptor: int, data: memoryview, position: int) -> None:
    """Write all of `data` at `position`.

    :raises OSError: the disk refused.
    """
    while len(data):
        # One call may take a part of it.
        count = os.pwrite(descriptor, data, position)
        data = data[count:]
        position += count


class Output:
    """Writes to an open file from several threads, and has the disk begin at once.

    Waiting for the disk at the end is then short: it was at work all the time. A thread of its own
    asks it to, since that waits where the disk has enough to do. To be used as a context, which
    ends that thread.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._send = linux_call("sync_file_range")
        self._changed = Condition()
        self._waiting = 0
        self._from = self._to = 0
        self._ended = False
        self._sender = Thread(target=self._send_on, name="convert-send", daemon=True)

    def __enter__(self) -> Self:
        if self._send is not None:
            # Where the file system cannot do that, fsync does it all in the end.
            self._sender.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._send is not None:
            self._sender.join()

    def write(self, data: memoryview, position: int) -> None:
        """Write all of `data` at `position`.

        :raises OSError: the disk refused.
        """
        write_fully(self._descriptor, data, position)
        end = position + len(data)
        with self._changed:
            self._from = min(self._from, position) if self._waiting else position
            self._to = max(self._to, end) if self._waiting else end
            self._waiting += len(data)
            if self._waiting >= _WORTH_SENDING:
                self._changed.notify()

    def _send_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._waiting >= _WORTH_SENDING)
                if self._ended:
                    return  # all that is left is for fsync
                start, length = self._from, self._to - self._from
                self._waiting = 0
            if self._send is not None:
                self._send(
                    self._descriptor,
                    ctypes.c_int64(start),
                    ctypes.c_int64(length),
                    _SYNC_FILE_RANGE_WRITE,
                )
