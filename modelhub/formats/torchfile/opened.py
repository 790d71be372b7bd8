"""What an opened torch file is, whatever its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from modelhub.formats.pickles import Global
from modelhub.formats.tensors import FileFormat, Header, Tensor
from modelhub.formats.torchfile.contents import Contents, Finder
from modelhub.formats.torchfile.inert import inert_objects
from modelhub.formats.torchfile.tensors import Rebuilder, Storage, Storages, TorchTensor


@dataclass(slots=True)
class Loaded:
    """What a reader of one form gives: the tree and what is known of the storages."""

    format: FileFormat
    tree: object = None
    storages: Storages = field(default_factory=lambda: Storages({}))
    by_id: Mapping[str, TorchTensor] = field(default_factory=dict)
    globals: list[Global] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    byteorder: str = "little"
    offset: int = 0
    """Where the tree's pickle begins in the file."""


@dataclass(frozen=True)
class TorchFile:
    """A torch file, read without executing anything. Holds no open file."""

    format: FileFormat
    size: int
    tensors: Mapping[str, TorchTensor]
    storages: Mapping[str, Storage]
    """Those of which a tensor is made, by key."""
    tree: object
    """The whole pickle: plain values and inert records."""
    globals: tuple[Global, ...]
    """Every name that loading it would import, in order."""
    metadata: Mapping[str, str]
    extras: tuple[str, ...]
    notices: tuple[str, ...]
    byteorder: str
    """``little`` or ``big``."""
    beside: Mapping[str, TorchTensor]
    """Tensors that are not of the model: an optimizer's state, an EMA copy."""

    @cached_property
    def inert(self) -> Mapping[str, int]:
        """How many objects were not built, by the path of their class."""
        return inert_objects(self.tree, self.globals)

    @property
    def header(self) -> Header:
        """The same, in the words of all formats."""
        tensors = {
            name: Tensor(one.dtype, one.shape, (0, one.storage_bytes))
            for name, one in self.tensors.items()
        }
        return Header(
            format=self.format,
            tensors=tensors,
            metadata=self.metadata,
            size=self.size,
            extras=self.extras,
            notices=self.notices,
        )


def finished(loaded: Loaded, size: int) -> TorchFile:
    """Find the tensors in what was loaded.

    :raises FormatError: a tensor is described wrongly.
    """
    finder = Finder(Rebuilder(loaded.storages, loaded.by_id), loaded.offset)
    found: Contents = finder.contents(loaded.tree)
    return TorchFile(
        format=loaded.format,
        size=size,
        tensors=found.tensors,
        storages=loaded.storages.used,
        tree=loaded.tree,
        globals=tuple(loaded.globals),
        metadata=found.metadata,
        extras=tuple(found.extras),
        notices=tuple(loaded.notices + found.notices),
        byteorder=loaded.byteorder,
        beside=found.beside,
    )
