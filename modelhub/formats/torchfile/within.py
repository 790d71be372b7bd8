"""Storages that are torch files themselves, as strings in a pickle.

So ``pickle`` writes a tensor: its storage is a call of ``torch.storage._load_from_bytes`` with a
whole legacy file (``torch/storage.py``, ``TypedStorage.__reduce__``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from modelhub.formats.pickles import FilePart, Held, Machine, PersistentId, Source
from modelhub.formats.torchfile.legacy import MAGIC_NUMBER, load_legacy
from modelhub.formats.torchfile.opened import Loaded
from modelhub.formats.torchfile.strings import Content, LatinText, Strings
from modelhub.formats.torchfile.tensors import Storage


class Within:
    """Opens them, each once.

    :param outer: the machine that read the pickle: all share its bounds.
    :param loaded: what is known of the file; gets the names that the storages' pickles name.
    """

    def __init__(self, file: BinaryIO, outer: Machine, loaded: Loaded, strings: Strings) -> None:
        self._file = file
        self._last = outer
        self._loaded = loaded
        self._strings = strings
        self._known: dict[int, Storage | None] = {}

    def __call__(self, value: object) -> Storage | None:
        """The storage in the string that `value` stands for, or None where it is none.

        :raises FormatError: the file within is damaged.
        """
        if id(value) not in self._known:
            content = self._strings.content(value)
            self._known[id(value)] = None if content is None else self._opened(content)
        return self._known[id(value)]

    def _opened(self, content: Content) -> Storage | None:
        source = source_of(content, self._file)
        machine = Machine(source)
        machine.count_on(self._last)
        self._last = machine
        if machine.load(0) != MAGIC_NUMBER:
            return None
        inner = load_legacy(machine, source)
        self._loaded.globals += machine.globals.values()
        if not isinstance(inner.tree, PersistentId):
            return None
        storage, _ = inner.storages.find(inner.tree.pid)
        key = f"within {len(self._known)}"
        if isinstance(source, FilePart) and storage.position is not None:
            return replace(storage, key=key, position=storage.position + source.origin)
        return replace(storage, key=key, content=content)


def source_of(content: Content, file: BinaryIO) -> Source:
    """The bytes of a string of a pickle in `file`."""
    if isinstance(content, bytes):
        return Held(content)
    part = FilePart(file, content.size, content.offset)
    return LatinText(part) if content.is_text else part
