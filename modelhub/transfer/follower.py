"""Hashing that follows the transfer: from memory where it keeps up, else from the page cache."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Collection

from blake3 import blake3

from modelhub.formats.hashes import ContentHashes, MultiHasher
from modelhub.transfer.journal import DIGEST_BYTES, MAX_EXTENT, Extent
from modelhub.transfer.ledger import Ledger
from modelhub.transfer.partial import Partial

_QUEUE_BYTES = 8 << 20
_READ_BYTES = 1 << 20


class Follower(threading.Thread):
    """Hashes the file from its start as far as it is there, and checks what was there before.

    Once ended, it has either `hashes` or a `failure`, or was stopped.
    """

    def __init__(
        self,
        partial: Partial,
        ledger: Ledger,
        kinds: Collection[str],
        stop: threading.Event,
        ended: threading.Event,
    ) -> None:
        super().__init__(name="transfer-hash", daemon=True)
        self._partial = partial
        self._ledger = ledger
        self._kinds = kinds
        self._stop_asked = stop
        self._ended = ended
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._tail = 0
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self.hashes: ContentHashes | None = None
        self.failure: Exception | None = None
        self.bad_extents = 0

    def offer(self, offset: int, data: bytes) -> None:
        """Hand over bytes that were just written; taken if they are the next ones in order."""
        with self._lock:
            if offset == self._tail and self._queued + len(data) <= _QUEUE_BYTES:
                self._queue.append(data)
                self._queued += len(data)
                self._tail += len(data)

    def run(self) -> None:
        """Hash until the end of the file."""
        try:
            with MultiHasher(self._kinds) as hasher:
                while not self._stop_asked.is_set():
                    if not self._step(hasher):
                        self.hashes = hasher.result()
                        break
        except Exception as error:
            self.failure = error
        self._ended.set()

    def _step(self, hasher: MultiHasher) -> bool:
        """Hash one piece, or wait a moment for one; whether there is more to come."""
        with self._lock:
            data = self._queue.popleft() if self._queue else None
        if data is not None:
            hasher.update(data)
            with self._lock:
                self._queued -= len(data)
            self._ledger.advance(hasher.size, fetched=len(data))
            return True
        found = self._ledger.next_to_hash(hasher.size)
        if found is None:
            return False
        if isinstance(found, Extent):
            self._check(found, hasher)
        elif found > hasher.size:
            self._read_back(found, hasher)
        else:
            self._wait(hasher.size)
        return True

    def _wait(self, offset: int) -> None:
        with self._ledger.changed:
            # Bytes may have come between the look and the lock.
            if self._tail == offset and self._ledger.next_to_hash(offset) == offset:
                self._ledger.changed.wait(0.1)

    def _read_back(self, end: int, hasher: MultiHasher) -> None:
        count = min(end - hasher.size, _READ_BYTES)
        with self._lock:
            if self._queue:
                return
            self._tail = hasher.size + count
        self._fill(self._buffer[:count], hasher.size)
        hasher.update(self._buffer[:count])
        self._ledger.advance(hasher.size, fetched=count)

    def _fill(self, buffer: memoryview, offset: int) -> None:
        if self._partial.read(offset, buffer) < len(buffer):
            raise OSError(errno.EIO, "the file was cut while it was written")

    def _check(self, extent: Extent, hasher: MultiHasher) -> None:
        if extent.length > len(self._buffer):
            self._buffer = memoryview(bytearray(MAX_EXTENT))
        data = self._buffer[: extent.length]
        # A file that lost its end in a power cut is read short: not good either.
        whole = self._partial.read(extent.offset, data) == extent.length
        good = whole and blake3(data).digest(DIGEST_BYTES) == extent.digest
        self.bad_extents += not good
        if good:
            hasher.update(data)
            with self._lock:
                self._tail = hasher.size
        self._ledger.checked(extent, good=good)
        if good:
            self._ledger.advance(hasher.size, fetched=0)
