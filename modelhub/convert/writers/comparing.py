"""The bytes of a file compared with the values that they were made of, and hashed meanwhile."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING

from modelhub.convert.values import Planned
from modelhub.convert.writers.pieces import cast_pieces, cast_range, turn_of
from modelhub.convert.writers.threads import work_off
from modelhub.convert.writers.written import Monitor
from modelhub.formats.hashes import ContentHashes, MultiHasher

if TYPE_CHECKING:
    from blake3 import blake3

    from modelhub.convert.casts import Data
    from modelhub.convert.values import Place

PIECE = 512 << 10
"""Bytes of the result that one thread compares at a time."""
_BATCH = 4 << 20
"""Bytes of the result that are read at a time."""


class Differs(Exception):
    """Something in a file is not as it should be."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the file that lie together: of one tensor, from `start` on, or of none.

    :param length: at most :data:`PIECE`, and whole elements.
    """

    position: int
    length: int
    tensor: Planned | None = None
    start: int = 0


@dataclass(slots=True)
class _Made:
    """The bytes of a tensor whose values have to be made: taken one after the other."""

    pieces: Iterator[Data]
    rest: memoryview = field(default_factory=lambda: memoryview(b""))

    def compare(self, expected: memoryview) -> bool:
        """Whether the next bytes are those."""
        while expected:
            if not self.rest:
                self.rest = memoryview(next(self.pieces, b""))
            count = min(len(self.rest), len(expected))
            if not count or not same_bytes(self.rest[:count], expected[:count]):
                return False
            self.rest, expected = self.rest[count:], expected[count:]
        return True


class Comparison:
    """Reads a file in order, a batch ahead; hashes each batch while threads compare it.

    :param checksums: CRC-32 by tensor, as the file has them; empty where its format keeps none.
    :param digests: BLAKE3 of what was written of those tensors whose values are not made again.
    :param hashes: which to compute, out of :data:`modelhub.formats.hashes.ALL_HASHES`.
    """

    def __init__(
        self,
        descriptor: int,
        checksums: Mapping[str, int],
        digests: Mapping[str, bytes],
        pool: ThreadPoolExecutor,
        monitor: Monitor,
        hashes: Collection[str],
    ) -> None:
        self._descriptor = descriptor
        self._checksums = checksums
        self._digests = digests
        self._pool = pool
        self._monitor = monitor
        self._hashes = hashes
        self._sums: dict[str, int] = {}
        self._made: dict[str, _Made] = {}
        self._hashing: dict[str, blake3] = {}

    def run(self, spans: Iterator[Span]) -> ContentHashes:
        """Compare all spans, which are the whole file in order; the hashes of its bytes.

        :raises Differs: a tensor has other values, or another checksum.
        :raises FormatError, FileUnreadable: the source cannot be read.
        :raises OSError: the file cannot be read.
        """
        blocks = [memoryview(bytearray(_BATCH + PIECE)) for _ in range(2)]
        with MultiHasher(self._hashes) as hasher:
            batch: Sequence[Span] = ()
            for following in chain(_batches(spans), ((),)):
                # Blocks take turns: while one is compared, the other is filled.
                blocks.reverse()
                reading = self._pool.submit(self._read, following, blocks[0])
                try:
                    self._take(batch, blocks[1], hasher)
                finally:
                    reading.exception()
                reading.result()
                batch = following
            found = hasher.result()
        self._compare_checksums()
        self._compare_digests()
        return found

    def _read(self, batch: Sequence[Span], block: memoryview) -> None:
        if not batch:
            return
        position = batch[0].position
        rest = block[: batch[-1].position + batch[-1].length - position]
        while rest:
            count = os.preadv(self._descriptor, [rest], position)
            if not count:
                raise Differs(f"it ends at {position:,} bytes")
            rest = rest[count:]
            position += count

    def _take(self, batch: Sequence[Span], block: memoryview, hasher: MultiHasher) -> None:
        if not batch:
            return
        origin = batch[0].position
        data = block[: batch[-1].position + batch[-1].length - origin]
        hashing = self._pool.submit(hasher.update, data)
        try:
            work_off(self._jobs(batch, data, origin), self._pool)
        finally:
            hashing.exception()
        hashing.result()
        self._monitor.advance(len(data))

    def _jobs(
        self, batch: Sequence[Span], data: memoryview, origin: int
    ) -> Iterator[Callable[[], None]]:
        if self._checksums:
            yield partial(self._add_checksums, batch, data, origin)
        for tensor, group in groupby(batch, key=lambda span: span.tensor):
            if tensor is None:
                continue
            if tensor.name in self._digests:
                yield partial(self._add_digest, tensor.name, tuple(group), data, origin)
                continue
            place = tensor.values.place
            if place is None:
                yield partial(self._compare_made, tensor, tuple(group), data, origin)
                continue
            for span in group:
                piece = data[span.position - origin :][: span.length]
                yield partial(_compare_placed, tensor, place, span.start, piece)

    def _compare_made(
        self, tensor: Planned, spans: Sequence[Span], data: memoryview, origin: int
    ) -> None:
        first, last = spans[0], spans[-1]
        if not first.start:
            self._made[tensor.name] = _Made(cast_pieces(tensor))
        made = self._made[tensor.name]
        with turn_of(tensor.values):
            for span in spans:
                if not made.compare(data[span.position - origin :][: span.length]):
                    raise Differs(f"{tensor.name} has other values")
        if last.start + last.length == tensor.nbytes:
            del self._made[tensor.name]

    def _add_checksums(self, batch: Sequence[Span], data: memoryview, origin: int) -> None:
        for span in batch:
            if span.tensor is not None:
                name = span.tensor.name
                piece = data[span.position - origin :][: span.length]
                self._sums[name] = zlib.crc32(piece, self._sums.get(name, 0))

    def _add_digest(self, name: str, spans: Sequence[Span], data: memoryview, origin: int) -> None:
        from blake3 import blake3

        hashing = self._hashing.setdefault(name, blake3())
        end = spans[-1].position + spans[-1].length
        hashing.update(data[spans[0].position - origin : end - origin])

    def _compare_digests(self) -> None:
        for name, found in self._hashing.items():
            if found.digest() != self._digests[name]:
                raise Differs(f"{name} has other values")

    def _compare_checksums(self) -> None:
        for name, found in self._sums.items():
            if self._checksums.get(name) != found:
                raise Differs(f"{name} has another checksum")


def _compare_placed(tensor: Planned, place: Place, start: int, expected: memoryview) -> None:
    data = cast_range(tensor, place, start, start + len(expected))
    if not same_bytes(data, expected):
        raise Differs(f"{tensor.name} has other values")


def same_bytes(one: Data, other: Data) -> bool:
    """Whether two pieces of memory are equal; other threads run meanwhile."""
    import numpy as np

    return np.array_equal(np.frombuffer(one, "u1"), np.frombuffer(other, "u1"))


def _batches(spans: Iterator[Span]) -> Iterator[Sequence[Span]]:
    batch: list[Span] = []
    length = 0
    for span in spans:
        batch.append(span)
        length += span.length
        if length >= _BATCH:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch
