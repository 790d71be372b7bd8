"""The zip form of ``torch.save`` (since torch 1.6), and TorchScript's archives.

Format: ``torch/serialization.py`` (``_save``, ``_load``) and
``caffe2/serialize/inline_container.cc``. All members stand below one folder: ``NAME/data.pkl`` with
the tree, ``NAME/data/KEY`` with each storage, ``NAME/version``, ``NAME/byteorder``. TorchScript
adds ``NAME/code/`` and ``NAME/constants.pkl`` and names its storages the same way.
"""

from __future__ import annotations

from itertools import islice
from typing import BinaryIO

from modelhub.errors import FormatError
from modelhub.formats.pickles import Held, Machine
from modelhub.formats.tensors import FileFormat
from modelhub.formats.torchfile.archive import MAX_INFLATED, STORED, Archive, checksum_holds
from modelhub.formats.torchfile.opened import Loaded
from modelhub.formats.torchfile.strings import Strings
from modelhub.formats.torchfile.tensors import Storages

_TREE = "data.pkl"
_MOST_CHECKED = 1000


def load_zip(file: BinaryIO, size: int, *, locate: bool) -> Loaded:
    """The tree and the storages of a zip file; one without a tree is a mere archive.

    :param locate: look up where each storage begins, checking the local header of each.
    :raises FormatError: damaged or misleading; see :class:`Archive`.
    """
    archive = Archive(file, size)
    folder = _folder(archive)
    _check_small_members(archive, folder)
    if folder is None:
        inside = ", ".join(list(archive.members)[:5])
        return Loaded(FileFormat.ZIP, notices=[f"an archive that is no torch file: {inside}"])
    tree = archive.members[folder + _TREE]
    source = archive.open(tree)
    machine = Machine(source)
    value = machine.load(0)
    strings = Strings(source if isinstance(source, Held) else None)
    storages = Storages(_places(archive, folder, locate), source.origin, strings=strings)
    loaded = Loaded(FileFormat.TORCH_ZIP, value, storages, offset=source.origin)
    loaded.globals = list(machine.globals.values())
    if machine.position < source.size:
        loaded.notices.append("bytes follow the pickle in data.pkl")
    if source.size > MAX_INFLATED:
        loaded.notices.append("the checksum of data.pkl was not compared: it is too long")
    elif not checksum_holds(source, tree):
        loaded.notices.append("the checksum of data.pkl is wrong")
    _note_members(archive, folder, loaded)
    return loaded


def _check_small_members(archive: Archive, folder: str | None) -> None:
    """Compare both headers of what is no storage: a scan of the file must not be misled."""
    storages = f"{folder}data/"
    small = (member for name, member in archive.members.items() if not name.startswith(storages))
    for member in islice(small, _MOST_CHECKED):
        archive.position(member)


def _folder(archive: Archive) -> str | None:
    """The folder with the tree: that of the first member, as torch's reader takes it."""
    for name in archive.members:
        folder = name.partition("/")[0] + "/"
        if folder + _TREE in archive.members:
            return folder
    return None


def _places(archive: Archive, folder: str, locate: bool) -> dict[str, tuple[int | None, int]]:
    places: dict[str, tuple[int | None, int]] = {}
    prefix = f"{folder}data/"
    for name, member in archive.members.items():
        if name.startswith(prefix):
            if member.method != STORED:
                raise FormatError(f"storage {name} is compressed", offset=member.header)
            position = archive.position(member) if locate else None
            places[name.removeprefix(prefix)] = (position, member.size)
    return places


def _note_members(archive: Archive, folder: str, loaded: Loaded) -> None:
    names = archive.members.keys()
    if f"{folder}constants.pkl" in names or any(n.startswith(f"{folder}code/") for n in names):
        loaded.notices.append("TorchScript: holds code beside its tensors")
    order = archive.members.get(f"{folder}byteorder")
    if order is not None:
        text = archive.open(order).read(0, 8)
        if text not in (b"little", b"big"):
            raise FormatError("an unknown byte order", offset=order.header)
        loaded.byteorder = text.decode()
        if text == b"big":
            loaded.notices.append("its numbers are big-endian")
    other = [name for name in names if not name.startswith(folder)]
    if other:
        loaded.notices.append(f"{len(other)} members stand outside of {folder}: {other[0]}")
    if archive.has_comment:
        loaded.notices.append("the archive has a comment")
