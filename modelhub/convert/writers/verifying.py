"""A file that was just written, read again and compared with what it was made of.

Where the tensors are is asked of the format's reader, which knows nothing of the writer. Each is
compared with the values of the source, which are read and cast once more. Those that are calculated
are not calculated again: they are compared by a digest of what was written. The hashes are those of
the very bytes that were compared. What the system still has of the file in memory is dropped
before, so that the bytes come from the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from modelhub.convert.values import Planned
from modelhub.convert.writers.comparing import PIECE, Comparison, Differs, Span
from modelhub.convert.writers.layout import ReadBack, Stored
from modelhub.convert.writers.written import Monitor, Phase
from modelhub.errors import FormatError, WrittenWrong
from modelhub.formats.hashes import ContentHashes
from modelhub.whole_files import meanwhile

_SHOWN = 3


def verify(
    file: BinaryIO,
    read_back: Callable[[Path], ReadBack],
    tensors: Sequence[Planned],
    metadata: Mapping[str, str],
    frame: Sequence[tuple[int, bytes]],
    digests: Mapping[str, bytes],
    pool: ThreadPoolExecutor,
    monitor: Monitor,
    hashes: Collection[str],
) -> ContentHashes:
    """Compare a file that is complete and on disk with what it was made of.

    :param read_back: the reader of its format.
    :param frame: what has to be found between the tensors, by position.
    :param digests: BLAKE3 by tensor, of those that are compared by it.
    :param hashes: which to compute, out of :data:`modelhub.formats.hashes.ALL_HASHES`.
    :returns: those hashes of the file, from the bytes that were compared.
    :raises WrittenWrong: it is not what it should be, and the source is what it was.
    :raises FormatError, FileUnreadable: the source is damaged, cannot be read, or changed.
    :raises OSError: the file cannot be read again.
    """
    size = os.fstat(file.fileno()).st_size
    monitor.enter(Phase.VERIFY, size)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        found = read_back(meanwhile(file))
    except FormatError as error:
        raise _wrong(monitor, error) from error
    try:
        _compare_descriptions(found, tensors, metadata)
        _compare_frame(file.fileno(), frame)
        comparison = Comparison(file.fileno(), found.checksums, digests, pool, monitor, hashes)
        return comparison.run(_spans(found.tensors, tensors, size))
    except Differs as error:
        monitor.unchanged()
        raise _wrong(monitor, error) from error


def _wrong(monitor: Monitor, error: Exception) -> WrittenWrong:
    return WrittenWrong(f"{monitor.target}, read back, is not what was to be written: {error}")


def _compare_descriptions(
    found: ReadBack, tensors: Sequence[Planned], metadata: Mapping[str, str]
) -> None:
    expected = {one.name: (one.dtype, one.values.shape) for one in tensors}
    described = {name: (one.dtype, one.shape) for name, one in found.tensors.items()}
    if described != expected:
        names = [
            name
            for name in sorted(expected.keys() | described.keys())
            if expected.get(name) != described.get(name)
        ]
        raise Differs(f"tensors are missing or changed: {', '.join(names[:_SHOWN])}")
    if found.metadata is not None and found.metadata != metadata:
        raise Differs("the metadata are others")


def _compare_frame(descriptor: int, frame: Sequence[tuple[int, bytes]]) -> None:
    for position, expected in frame:
        if os.pread(descriptor, len(expected), position) != expected:
            raise Differs(f"what is at byte {position:,} is not what was put there")


def _spans(stored: Mapping[str, Stored], tensors: Sequence[Planned], size: int) -> Iterator[Span]:
    """The whole file in order, in spans of whole elements."""
    by_position = sorted(((stored[one.name].position, one) for one in tensors), key=_start_and_size)
    at = 0
    for position, tensor in by_position:
        if position < at and tensor.nbytes:
            raise Differs(f"{tensor.name} overlaps another tensor")
        yield from _cut(at, position)
        for start in range(0, tensor.nbytes, PIECE):
            length = min(PIECE, tensor.nbytes - start)
            yield Span(position + start, length, tensor, start)
        at = max(at, position + tensor.nbytes)
    if at > size:
        raise Differs("it is too short")
    yield from _cut(at, size)


def _start_and_size(one: tuple[int, Planned]) -> tuple[int, int]:
    return one[0], one[1].nbytes


def _cut(start: int, end: int) -> Iterator[Span]:
    for position in range(start, end, PIECE):
        yield Span(position, min(PIECE, end - position))
