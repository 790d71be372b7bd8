"""The legacy form of ``torch.save``, before torch 1.6.

Format: ``torch/serialization.py`` (``_legacy_save``, ``_legacy_load``): five pickles (a magic
number, the version of the protocol, facts of the writer's machine, the tree, the sorted keys of the
storages), then each storage in that order: the number of its elements as a little-endian 64-bit
number, then the elements, little-endian too (``torch/csrc/serialization.cpp``).
"""

from __future__ import annotations

from struct import Struct

from modelhub.errors import FormatError
from modelhub.formats.pickles import Machine, Source
from modelhub.formats.tensors import FileFormat
from modelhub.formats.torchfile.opened import Loaded
from modelhub.formats.torchfile.tensors import Storages, item_size, parse_storage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_COUNT = Struct("<q")
_TRUNCATED = "the file ends within its storages: it was never whole"


def load_legacy(machine: Machine, part: Source) -> Loaded:
    """The rest of a legacy file, whose magic number `machine` has just read.

    :raises FormatError: it is damaged, or is cut off.
    """
    version = machine.load()
    if version != PROTOCOL_VERSION:
        raise FormatError("a legacy torch file of an unknown protocol", offset=machine.position)
    machine.load()
    offset = machine.position
    tree = machine.load()
    named = _named(machine, offset)
    keys = machine.load()
    places, end = _locate(part, machine.position, keys, named)
    loaded = Loaded(FileFormat.TORCH_LEGACY, tree, Storages(places, offset), offset=offset)
    if end < part.size:
        loaded.notices.append(f"{part.size - end:,} bytes follow its storages")
    return loaded


def _named(machine: Machine, offset: int) -> dict[str, tuple[str, int]]:
    """Dtype and number of elements of each storage that the tree names."""
    named: dict[str, tuple[str, int]] = {}
    for pid in machine.persistent:
        if isinstance(pid, tuple) and pid and pid[0] in ("module", b"module"):
            continue
        key, dtype, numel, _ = parse_storage(pid, offset)
        if named.setdefault(key, (dtype, numel)) != (dtype, numel):
            raise FormatError(f"storage {key} is described in two ways", offset=offset)
    return named


def _locate(
    part: Source, position: int, keys: object, named: dict[str, tuple[str, int]]
) -> tuple[dict[str, tuple[int | None, int]], int]:
    """Where each storage begins, with its size in bytes; and where the last one ends."""
    if not isinstance(keys, list):
        raise FormatError("the keys of the storages are no list", offset=position)
    places: dict[str, tuple[int | None, int]] = {}
    for key in keys:
        known = named.get(str(key)) if isinstance(key, (str, int)) else None
        if known is None or str(key) in places:
            raise FormatError("a storage that no tensor names, or twice the same", offset=position)
        start, nbytes = storage_at(part, position, *known)
        places[str(key)] = (start, nbytes)
        position = start + nbytes
    return places, position


def storage_at(part: Source, position: int, dtype: str, numel: int) -> tuple[int, int]:
    """Start and size in bytes of the elements of the storage whose count is at `position`.

    :raises FormatError: it has another count than `numel`, or does not fit into the file.
    """
    if position + _COUNT.size > part.size:
        raise FormatError(_TRUNCATED, offset=part.origin + part.size)
    (count,) = _COUNT.unpack(part.read(position, _COUNT.size))
    if count != numel:
        raise FormatError(f"a storage of {count:,}, not {numel:,}", offset=part.origin + position)
    start, nbytes = position + _COUNT.size, numel * item_size(dtype)
    if start + nbytes > part.size:
        raise FormatError(_TRUNCATED, offset=part.origin + part.size)
    return start, nbytes
