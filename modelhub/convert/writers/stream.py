"""The tensors of a result into its file: copied as they are, or cast on the way.

Each thread takes the next tensor, reads, casts and writes it piece by piece, so that no more than
a few MiB of it are in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from modelhub.convert.values import Planned
from modelhub.convert.writers.layout import Region
from modelhub.convert.writers.output import Output
from modelhub.convert.writers.overflow import may_overflow
from modelhub.convert.writers.pieces import cast_pieces, checked_pieces, turn_of
from modelhub.convert.writers.threads import work_off
from modelhub.convert.writers.written import Monitor
from modelhub.errors import FormatError

if TYPE_CHECKING:
    from blake3 import blake3

    from modelhub.convert.casts import Data


class Overflowed(Exception):
    """A tensor has finite values that are too large for fp16; the file is of no use so far."""


@dataclass(slots=True)
class Streamed:
    """What was seen while tensors were written.

    :param checksums: CRC-32 of the bytes of each, where they were asked for.
    :param digests: BLAKE3 of the bytes of each that is calculated.
    :param not_finite: those cast to fp16 that have infinite or undefined values in the source.
    """

    checksums: dict[str, int] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    not_finite: set[str] = field(default_factory=set)


def write_regions(
    output: Output,
    regions: Sequence[Region],
    pool: ThreadPoolExecutor,
    monitor: Monitor,
    *,
    checksums: bool,
) -> Streamed:
    """Write all tensors to their positions in a file.

    :raises Overflowed: a value became infinite in fp16.
    :raises FormatError, FileUnreadable: the source is damaged or cannot be read.
    :raises OSError: the disk refused.
    """
    seen = Streamed()
    jobs = (
        partial(_write_tensor, output, one, seen, monitor, checksum=checksums) for one in regions
    )
    work_off(jobs, pool)
    return seen


def _write_tensor(
    output: Output, region: Region, seen: Streamed, monitor: Monitor, *, checksum: bool
) -> None:
    tensor, position = region.tensor, region.position
    end, crc = position + tensor.nbytes, 0
    digest = _blake3() if tensor.values.is_costly else None
    with turn_of(tensor.values):
        for data in _watched(tensor, seen):
            piece = memoryview(data)
            if position + len(piece) > end:
                raise _wrong_size(tensor)
            output.write(piece, position)
            position += len(piece)
            crc = zlib.crc32(piece, crc) if checksum else 0
            if digest is not None:
                digest.update(piece)
            monitor.advance(len(piece))
    if position != end:
        raise _wrong_size(tensor)
    if checksum:
        seen.checksums[tensor.name] = crc
    if digest is not None:
        seen.digests[tensor.name] = digest.digest()


def _blake3() -> blake3:
    from blake3 import blake3

    return blake3()


def _watched(tensor: Planned, seen: Streamed) -> Iterator[Data]:
    """The bytes of a tensor, while there is none among its values that overflows."""
    if not may_overflow(tensor):
        yield from cast_pieces(tensor)
        return
    for piece, (_, lost, odd) in checked_pieces(tensor):
        if lost:
            raise Overflowed
        if odd:
            seen.not_finite.add(tensor.name)
        yield piece


def _wrong_size(tensor: Planned) -> FormatError:
    return FormatError(f"the values of {tensor.name} are not as many as its shape says", hint="")
