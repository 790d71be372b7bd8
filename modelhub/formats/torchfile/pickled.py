"""Files that begin with a pickle: the legacy form of ``torch.save``, and plain pickles."""

from __future__ import annotations

from typing import BinaryIO

from modelhub.errors import FormatError
from modelhub.formats.pickles import FilePart, Machine
from modelhub.formats.tensors import FileFormat
from modelhub.formats.torchfile.legacy import MAGIC_NUMBER, load_legacy
from modelhub.formats.torchfile.opened import Loaded
from modelhub.formats.torchfile.strings import Strings
from modelhub.formats.torchfile.tensors import Storages
from modelhub.formats.torchfile.within import Within

_MAX_PICKLES = 64


def load_pickles(file: BinaryIO, size: int) -> Loaded:
    """The tree of a legacy file with its storages, or of a plain pickle.

    :raises FormatError: it is neither, is damaged, or is cut off.
    """
    part = FilePart(file, size)
    machine = Machine(part)
    first = machine.load(0)
    if type(first) is int and first == MAGIC_NUMBER:
        loaded = load_legacy(machine, part)
    else:
        loaded = _plain(machine, first)
        strings = Strings()
        nested = Within(file, machine, loaded, strings)
        loaded.storages = Storages({}, nested=nested, strings=strings)
    loaded.globals = list(machine.globals.values())
    if part.read(max(0, size - 22), 4) == b"PK\5\6":
        loaded.notices.append("a zip archive is appended to it")
    return loaded


def _plain(machine: Machine, first: object) -> Loaded:
    loaded = Loaded(FileFormat.PICKLE, first)
    for _ in range(_MAX_PICKLES):
        if machine.position >= machine.source.size:
            break
        try:
            machine.load()
        except FormatError as error:
            loaded.notices.append(f"what follows its pickles is none: {error}")
            break
        loaded.notices = ["several pickles, one behind the other"]
    return loaded
