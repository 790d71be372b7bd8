"""Safetensors files, byte for byte as the reference writes them.

Order, alignment and padding are those of ``huggingface/safetensors``,
``safetensors/src/tensor.rs`` (``prepare``): tensors by dtype, the last of its enumeration first,
then by name; the header padded with spaces to a multiple of 8 bytes, so that wide elements are
aligned. The reference writes its metadata in no order; here they are sorted, so that the same
tensors give the same file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event

from modelhub.convert.options import Overflow
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned
from modelhub.convert.writers.layout import (
    Layout,
    ReadBack,
    Region,
    Stored,
    require_names,
    writable_metadata,
)
from modelhub.convert.writers.making import make_file
from modelhub.convert.writers.written import Monitor, Progress, Written
from modelhub.errors import UsageError
from modelhub.formats.hashes import ALL_HASHES
from modelhub.formats.safetensors import DTYPE_BITS, MAX_HEADER, MAX_TENSORS

_ALIGNMENT = 8
_LENGTH = 8
_RANKS = {dtype: rank for rank, dtype in enumerate(DTYPE_BITS)}


class SafetensorsLayout(Layout):
    """The arrangement of a safetensors file.

    :param late: gives values for some keys of `metadata` when all tensors are written; each as long
        as the one that holds its place until then.
    :raises UsageError: a tensor is of a type that the format has no name for, a name is
        taken twice or by the format itself, or they are more than fit into a header.
    """

    def __init__(
        self,
        tensors: Sequence[Planned],
        metadata: dict[str, str],
        late: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        require_names(tensors)
        for one in tensors:
            if one.name == "__metadata__":
                raise UsageError("safetensors keeps the name __metadata__ for itself")
            if one.dtype not in DTYPE_BITS:
                raise UsageError(f"{one.name} is of type {one.dtype}, which safetensors has not")
        ordered = sorted(tensors, key=lambda one: (-_RANKS[one.dtype], one.name))
        self._metadata, self._late = metadata, late
        self._entries = entries = dict[str, object]()
        if metadata:
            entries["__metadata__"] = dict(sorted(metadata.items()))
        positions, end = [], 0
        for one in ordered:
            positions.append(end)
            entries[one.name] = {
                "dtype": one.dtype,
                "shape": one.values.shape,
                "data_offsets": (end, end := end + one.nbytes),
            }
        self._head = self._encoded()
        if len(self._head) - _LENGTH > MAX_HEADER or len(ordered) > MAX_TENSORS:
            raise UsageError(f"{len(ordered):,} tensors are too many for a safetensors header")
        start = len(self._head)
        self.regions = tuple(
            Region(one, start + position) for one, position in zip(ordered, positions, strict=True)
        )
        self.size = start + end

    def frame(self, checksums: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
        """The header; there is nothing else."""
        if self._late is not None:
            self._metadata.update(self._late())
            self._entries["__metadata__"] = dict(sorted(self._metadata.items()))
            head = self._encoded()
            if len(head) != len(self._head):
                raise ValueError("late metadata are not as long as what held their places")
            self._head = head
        yield 0, self._head

    def _encoded(self) -> bytes:
        text = json.dumps(self._entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        return struct.pack("<Q", len(text)) + text

    def read_back(self, path: Path) -> ReadBack:
        """See :meth:`Layout.read_back`."""
        from modelhub.formats.reading import read_header

        header = read_header(path)
        found = {
            name: Stored(one.dtype, one.shape, header.data_start + one.data_offsets[0])
            for name, one in header.tensors.items()
        }
        return ReadBack(found, header.metadata)


def write_safetensors(
    plan: Plan,
    target: Path,
    *,
    overflow: Overflow = Overflow.STOP,
    progress: Progress | None = None,
    cancel: Event | None = None,
    unchanged: Callable[[], None] = lambda: None,
    late_metadata: Callable[[], Mapping[str, str]] | None = None,
    hashes: Collection[str] = ALL_HASHES,
) -> Written:
    """Write a plan's tensors and metadata to the new file `target`, and verify it.

    The file has its name only once all of it is on disk, was read back, and is what the plan says
    of the source. Whatever happens before leaves nothing behind.

    :param unchanged: raises where the source is no longer what it was when the plan was made.
    :param late_metadata: called when all tensors are written: values, for keys of the plan's
        metadata, that were not known before, such as a hash; each as long as what held its place.
    :param hashes: which of the result are computed while it is compared; SHA256 always is.
    :raises FP16Overflow: `overflow` is STOP, and values are too large for fp16.
    :raises NameTaken: there is something of that name.
    :raises DiskError: the disk is full, or refused.
    :raises WrittenWrong: what was read back is not what should be there.
    :raises FormatError, FileUnreadable: the source is damaged, cannot be read, or changed.
    :raises UsageError: the plan cannot be written in this format.
    :raises Cancelled: `cancel` was set.
    """
    monitor = Monitor(target, progress, cancel, unchanged)
    metadata = writable_metadata(plan.metadata)

    def layout(tensors: Sequence[Planned]) -> Layout:
        return SafetensorsLayout(tensors, metadata, late_metadata)

    return make_file(layout, plan.tensors, metadata, target, overflow, monitor, hashes)
