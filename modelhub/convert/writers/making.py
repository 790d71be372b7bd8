"""A result from nothing to its name: reserved, written, synced, read back, verified, named."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from modelhub.convert.options import Overflow
from modelhub.convert.values import Planned
from modelhub.convert.writers.layout import Layout
from modelhub.convert.writers.output import Output, result_file, write_fully
from modelhub.convert.writers.overflow import kept_wider, search
from modelhub.convert.writers.stream import Overflowed, Streamed, write_regions
from modelhub.convert.writers.threads import THREADS
from modelhub.convert.writers.verifying import verify
from modelhub.convert.writers.written import Monitor, Overflowing, Phase, Written
from modelhub.disk import reserve
from modelhub.errors import FileUnreadable
from modelhub.formats.hashes import ALL_HASHES

LayoutMaker: TypeAlias = Callable[[Sequence[Planned]], Layout]


@dataclass(frozen=True, slots=True)
class _Stream:
    """What is in the file after the tensors were written."""

    layout: Layout
    tensors: Sequence[Planned]
    seen: Streamed
    kept: tuple[Overflowing, ...]


def make_file(
    layout_of: LayoutMaker,
    tensors: Sequence[Planned],
    metadata: Mapping[str, str],
    target: Path,
    overflow: Overflow,
    monitor: Monitor,
    wanted: Collection[str] = ALL_HASHES,
) -> Written:
    """Write tensors to the new file `target` in the layout of a format, and verify it.

    :param metadata: what has to be found in the file again.
    :param wanted: the hashes of the result that are computed; SHA256 always is.
    :raises ModelhubError: as :func:`modelhub.convert.writers.write_safetensors`.
    """
    layout = layout_of(tensors)
    with (
        ThreadPoolExecutor(THREADS + 1, thread_name_prefix="convert") as pool,
        result_file(target, layout.size) as file,
    ):
        began = time.perf_counter()
        stream = _stream(layout_of, layout, tensors, overflow, file, pool, monitor)
        frame = tuple(stream.layout.frame(stream.seen.checksums))
        for position, data in frame:
            write_fully(file.fileno(), memoryview(data), position)
        os.ftruncate(file.fileno(), stream.layout.size)
        written = time.perf_counter()
        os.fsync(file.fileno())
        synced = time.perf_counter()
        hashes = verify(
            file,
            stream.layout.read_back,
            stream.tensors,
            metadata,
            frame,
            stream.seen.digests,
            pool,
            monitor,
            wanted,
        )
        monitor.unchanged()
        verified = time.perf_counter()
    return Written(
        path=target,
        nbytes=stream.layout.size,
        hashes=hashes,
        kept=stream.kept,
        not_finite=tuple(sorted(stream.seen.not_finite)),
        seconds_writing=synced - began,
        seconds_syncing=synced - written,
        seconds_verifying=verified - synced,
    )


def _stream(
    layout_of: LayoutMaker,
    layout: Layout,
    tensors: Sequence[Planned],
    overflow: Overflow,
    file: BinaryIO,
    pool: ThreadPoolExecutor,
    monitor: Monitor,
) -> _Stream:
    """Write the tensors; where some turn out to overflow, look for all of them and start over.

    Nearly no file has any, so that looking beforehand would read nearly all of them twice.
    """
    with contextlib.suppress(Overflowed):
        return _Stream(layout, tensors, _write(layout, file, pool, monitor), ())
    found = search(tensors, pool, monitor)
    wider = kept_wider(tensors, found, overflow)
    layout = layout_of(wider)
    try:
        return _Stream(layout, wider, _write(layout, file, pool, monitor), found)
    except Overflowed:
        monitor.unchanged()
        raise FileUnreadable("the source gives other values each time it is read") from None


def _write(layout: Layout, file: BinaryIO, pool: ThreadPoolExecutor, monitor: Monitor) -> Streamed:
    monitor.enter(Phase.WRITE, sum(one.tensor.nbytes for one in layout.regions))
    reserve(file.fileno(), layout.size, lambda: monitor.advance(0))
    with Output(file.fileno()) as output:
        return write_regions(
            output, layout.regions, pool, monitor, checksums=layout.keeps_checksums
        )
