"""Checkpoints in the zip form of ``torch.save``, written without torch.

The members, their order and their alignment are those of torch 2.8 (``torch/serialization.py``,
``_save``; ``caffe2/serialize/inline_container.cc``): every member is stored, its data aligned to
64 bytes by a field of padding, ``FB``, in its local header. Fields of zip64 stand where a size or
a position needs them (PKWARE's APPNOTE, 4.5.3).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar

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
from modelhub.convert.writers.torch_pickle import state_dict_pickle
from modelhub.convert.writers.written import Monitor, Progress, Written
from modelhub.errors import UsageError
from modelhub.formats.hashes import ALL_HASHES

_ALIGNMENT = 64
_FOLDER = "archive"
_FOUR_GIB = 0xFFFFFFFF
_MANY_MEMBERS = 0xFFFF
_DATE = 0x21
"""The first day of 1980: the same tensors give the same file."""
_VERSION, _VERSION_ZIP64 = 20, 45
_DIGITS = 40


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of the archive.

    :param header: where its local header begins; `start` where its data do.
    :param content: its data, or the tensor that they are.
    """

    name: bytes
    header: int
    start: int
    size: int
    content: bytes | Planned

    @property
    def is_large(self) -> bool:
        return self.size >= _FOUR_GIB


class TorchZipLayout(Layout):
    """The arrangement of a torch zip file.

    :raises UsageError: a tensor is of a type that torch has not, or two have the same name.
    """

    keeps_checksums: ClassVar[bool] = True

    def __init__(self, tensors: Sequence[Planned], metadata: Mapping[str, str]) -> None:
        require_names(tensors)
        if "state_dict" in metadata:
            raise UsageError("a checkpoint cannot have metadata of the name state_dict")
        tree = state_dict_pickle(tensors, metadata)
        identifier = f"{int(hashlib.sha256(tree).hexdigest(), 16):0{_DIGITS}}"[:_DIGITS]
        contents: list[tuple[str, bytes | Planned]] = [
            ("data.pkl", tree),
            (".format_version", b"1"),
            (".storage_alignment", str(_ALIGNMENT).encode()),
            ("byteorder", b"little"),
            *((f"data/{key}", one) for key, one in enumerate(tensors)),
            ("version", b"3\n"),
            (".data/serialization_id", identifier.encode()),
        ]
        self._members: list[_Member] = []
        end = 0
        for name, content in contents:
            end = self._add(f"{_FOLDER}/{name}".encode(), content, end)
        self._directory_start = end
        self.regions = tuple(
            Region(one.content, one.start)
            for one in self._members
            if isinstance(one.content, Planned)
        )
        self.size = end + len(self._directory({}))

    def _add(self, name: bytes, content: bytes | Planned, position: int) -> int:
        size = content.nbytes if isinstance(content, Planned) else len(content)
        least = position + 30 + len(name) + (20 if size >= _FOUR_GIB else 0) + 4
        start = least + -least % _ALIGNMENT
        self._members.append(_Member(name, position, start, size, content))
        return start + size

    def frame(self, checksums: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
        """Local headers, the members that are no tensors, and the directory."""
        for one in self._members:
            yield one.header, _local_header(one, _checksum(one, checksums))
            if isinstance(one.content, bytes):
                yield one.start, one.content
        yield self._directory_start, self._directory(checksums)

    def _directory(self, checksums: Mapping[str, int]) -> bytes:
        entries = b"".join(_entry(one, _checksum(one, checksums)) for one in self._members)
        start, count = self._directory_start, len(self._members)
        end = start + len(entries)
        if end >= _FOUR_GIB or count >= _MANY_MEMBERS:
            entries += struct.pack(
                "<4sQHHIIQQQQ", b"PK\6\6", 44, _VERSION_ZIP64, _VERSION_ZIP64, 0, 0,
                count, count, end - start, start,
            )  # fmt: skip
            entries += struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        few, length = min(count, _MANY_MEMBERS), min(end - start, _FOUR_GIB)
        return entries + struct.pack(
            "<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, length, min(start, _FOUR_GIB), 0
        )

    def read_back(self, path: Path) -> ReadBack:
        """See :meth:`Layout.read_back`."""
        from zipfile import BadZipFile, ZipFile

        from modelhub.errors import FormatError
        from modelhub.formats.torchfile import open_torch

        opened = open_torch(path)
        try:
            with ZipFile(path) as archive:
                sums = {one.filename.partition("/")[2]: one.CRC for one in archive.infolist()}
        except BadZipFile as error:
            raise FormatError(str(error), path=path) from error
        tensors, checksums = {}, {}
        for name, one in opened.tensors.items():
            if one.position is not None:
                tensors[name] = Stored(one.dtype, one.shape, one.position)
                checksums[name] = sums[f"data/{one.storage_key}"]
        return ReadBack(tensors, checksums=checksums)


def _checksum(member: _Member, checksums: Mapping[str, int]) -> int:
    if isinstance(member.content, Planned):
        return checksums.get(member.content.name, 0)
    return zlib.crc32(member.content)


def _local_header(member: _Member, checksum: int) -> bytes:
    size = min(member.size, _FOUR_GIB)
    extra = b""
    if member.is_large:
        extra = struct.pack("<HHQQ", 1, 16, member.size, member.size)
    padding = member.start - member.header - 30 - len(member.name) - len(extra) - 4
    extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    return (
        struct.pack(
            "<4sHHHHHIIIHH", b"PK\3\4", _VERSION_ZIP64 if member.is_large else _VERSION, 0, 0, 0,
            _DATE, checksum, size, size, len(member.name), len(extra),
        )
        + member.name
        + extra
    )  # fmt: skip


def _entry(member: _Member, checksum: int) -> bytes:
    far = member.header >= _FOUR_GIB
    wide = [member.size, member.size] if member.is_large else []
    wide += [member.header] if far else []
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = _VERSION_ZIP64 if wide else _VERSION
    size = min(member.size, _FOUR_GIB)
    return (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", version, version, 0, 0, 0, _DATE, checksum, size,
            size, len(member.name), len(extra), 0, 0, 0, 0, min(member.header, _FOUR_GIB),
        )
        + member.name
        + extra
    )  # fmt: skip


def write_ckpt(
    plan: Plan,
    target: Path,
    *,
    overflow: Overflow = Overflow.STOP,
    progress: Progress | None = None,
    cancel: Event | None = None,
    unchanged: Callable[[], None] = lambda: None,
    hashes: Collection[str] = ALL_HASHES,
) -> Written:
    """Write a plan's tensors as ``{"state_dict": ...}``, its metadata beside it, and verify them.

    Parameters, guarantees and errors are those of
    :func:`modelhub.convert.writers.write_safetensors`.
    """
    monitor = Monitor(target, progress, cancel, unchanged)

    metadata = writable_metadata(plan.metadata)

    def layout(tensors: Sequence[Planned]) -> Layout:
        return TorchZipLayout(tensors, metadata)

    return make_file(layout, plan.tensors, metadata, target, overflow, monitor, hashes)
