"""The tar form of the first versions of torch (before 0.2).

Format: ``legacy_load`` in ``torch/serialization.py``. Four members: ``sys_info``; ``storages`` (a
pickled count, then for each a pickle of key, device and class, and its elements as in the legacy
form; then a pickle of views); ``tensors`` (a pickled count, then for each a pickle of key, storage
and class, and its layout in binary); ``pickle`` (the tree, in which persistent ids are tensors).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import BinaryIO

from modelhub.errors import FormatError
from modelhub.formats.pickles import FilePart, Machine
from modelhub.formats.tensors import FileFormat
from modelhub.formats.torchfile.legacy import storage_at
from modelhub.formats.torchfile.opened import Loaded
from modelhub.formats.torchfile.tensors import Storage, TorchTensor, parse_storage, view

TAR_MAGIC_AT = 257
TAR_MAGIC = b"ustar"
_BLOCK = 512
_MEMBERS = ("sys_info", "pickle", "tensors", "storages")
_MAX_MEMBERS = 64
_MAX_COUNT = 100_000
_DIMENSIONS = Struct("<i4x")
_NUMBER = Struct("<q")


def load_tar(
    file: BinaryIO, size: int, machine_for: Callable[[FilePart], Machine] = Machine
) -> Loaded:
    """The tree, tensors and storages of the tar form; another tar is a mere archive.

    :param machine_for: makes what follows the pickles of a member.
    :raises FormatError: damaged or cut off.
    """
    parts = _members(file, size)
    if not all(name in parts for name in _MEMBERS):
        return Loaded(FileFormat.TAR, notices=["an archive that is no torch file"])
    machine = machine_for(parts["pickle"])
    tree = machine.load(0)
    loaded = Loaded(FileFormat.TORCH_LEGACY, tree, offset=parts["pickle"].origin)
    loaded.globals = list(machine.globals.values())
    storages = _storages(machine_for(parts["storages"]), parts["storages"], loaded)
    loaded.by_id = _tensors(machine_for(parts["tensors"]), parts["tensors"], storages, loaded)
    loaded.storages.used.update({one.key: one for one, _ in storages.values()})
    return loaded


def _members(file: BinaryIO, size: int) -> dict[str, FilePart]:
    part = FilePart(file, size)
    found: dict[str, FilePart] = {}
    at = 0
    for _ in range(_MAX_MEMBERS):
        block = part.read(at, _BLOCK)
        if len(block) < _BLOCK:
            raise FormatError("the archive ends before its end mark", offset=size)
        if not block.strip(b"\0"):
            break
        name = block[:100].rstrip(b"\0").decode("latin-1").removeprefix("./")
        length = _octal(block[124:136], at)
        if at + _BLOCK + length > size:
            raise FormatError(f"{name[:100]!r} is cut off: the file was never whole", offset=size)
        if block[156:157] in (b"0", b"\0"):
            if name in found:
                raise FormatError(f"two members are named {name[:100]!r}", offset=at)
            found[name] = FilePart(file, length, at + _BLOCK)
        at += _BLOCK + -(-length // _BLOCK) * _BLOCK
    return found


def _octal(field: bytes, at: int) -> int:
    text = field.rstrip(b"\0 ").lstrip(b" ") or b"0"
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    if text.strip(b"01234567"):
        raise FormatError("a tar member without a proper size", offset=at + 124)
    return int(text, 8)


def _pickled_count(machine: Machine, part: FilePart) -> int:
    count = machine.load(0)
    if type(count) is not int or not 0 <= count <= _MAX_COUNT:
        raise FormatError("a count that is no proper number", offset=part.origin)
    return count


def _storages(machine: Machine, part: FilePart, loaded: Loaded) -> dict[str, tuple[Storage, int]]:
    """Each storage by key, with the offset in elements of the view that the key is."""
    found: dict[str, tuple[Storage, int]] = {}
    position = 0
    for _ in range(_pickled_count(machine, part)):
        at = part.origin + machine.position
        described = machine.load()
        if not isinstance(described, tuple) or len(described) != 3:
            raise FormatError("a storage that is described in no known way", offset=at)
        position = machine.position
        if position + _NUMBER.size > part.size:
            raise FormatError("the storages are cut off", offset=part.origin + part.size)
        (numel,) = _NUMBER.unpack(part.read(position, _NUMBER.size))
        pid = ("storage", described[2], described[0], described[1], numel)
        key, dtype, numel, _ = parse_storage(pid, at)
        start, nbytes = storage_at(part, position, dtype, numel)
        found[key] = (Storage(key, dtype, numel, part.origin + start), 0)
        machine.position = start + nbytes
    _add_views(machine, part, found)
    _note_globals(machine, loaded)
    return found


def _add_views(machine: Machine, part: FilePart, found: dict[str, tuple[Storage, int]]) -> None:
    at = part.origin + machine.position
    views = machine.load()
    if not isinstance(views, list):
        raise FormatError("the views of the storages are no list", offset=at)
    for one in views:
        numbers = isinstance(one, tuple) and len(one) == 4 and all(type(n) is int for n in one)
        root = found.get(str(one[1])) if numbers else None
        if root is None or one[2] < 0:
            raise FormatError("a view of no storage", offset=at)
        found[str(one[0])] = (root[0], root[1] + one[2])


def _tensors(
    machine: Machine, part: FilePart, storages: dict[str, tuple[Storage, int]], loaded: Loaded
) -> dict[str, TorchTensor]:
    found: dict[str, TorchTensor] = {}
    for _ in range(_pickled_count(machine, part)):
        at = part.origin + machine.position
        described = machine.load()
        if not isinstance(described, tuple) or len(described) != 3:
            raise FormatError("a tensor that is described in no known way", offset=at)
        key, storage_key = described[0], described[1]
        if not isinstance(key, (int, str)) or not isinstance(storage_key, (int, str)):
            raise FormatError("a tensor that is described in no known way", offset=at)
        storage, shift = storages.get(str(storage_key), (None, 0))
        if storage is None:
            raise FormatError("a tensor of no storage", offset=at)
        shape, stride, offset = _layout(machine, part)
        found[str(key)] = view(storage, storage.dtype, (offset + shift, shape, stride), at)
    _note_globals(machine, loaded)
    return found


def _layout(machine: Machine, part: FilePart) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, stride and offset at the machine's position, which moves behind them."""
    at = machine.position
    head = part.read(at, _DIMENSIONS.size)
    count = _DIMENSIONS.unpack(head)[0] if len(head) == _DIMENSIONS.size else -1
    if not 0 <= count <= _MAX_MEMBERS:
        raise FormatError("a tensor of an impossible shape", offset=part.origin + at)
    data = part.read(at + _DIMENSIONS.size, (2 * count + 1) * _NUMBER.size)
    numbers = [number for (number,) in _NUMBER.iter_unpack(data[: len(data) // 8 * 8])]
    if len(numbers) != 2 * count + 1 or min(numbers) < 0:
        raise FormatError("a tensor of an impossible shape", offset=part.origin + at)
    machine.position = at + _DIMENSIONS.size + len(data)
    return tuple(numbers[:count]), tuple(numbers[count:-1]), numbers[-1]


def _note_globals(machine: Machine, loaded: Loaded) -> None:
    known = {one.path for one in loaded.globals}
    loaded.globals += [one for one in machine.globals.values() if one.path not in known]
