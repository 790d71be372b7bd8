"""Where everything will be in a file that is to be written, and what a reader found in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from modelhub.convert.values import Planned
from modelhub.errors import UsageError


@dataclass(frozen=True, slots=True)
class Region:
    """A tensor's bytes in the file: they begin at `position`."""

    tensor: Planned
    position: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a reader found it in the file that was written; `position` of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    position: int


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What a reader found in the file that was written.

    :param metadata: None where the reader of the format does not give all of their texts.
    :param checksums: CRC-32 of the bytes of each tensor, where the format keeps them.
    """

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str] | None = None
    checksums: Mapping[str, int] = field(default_factory=dict)


class Layout(ABC):
    """How a set of tensors is arranged in a file of one format.

    :attr regions: in the order of the file, none overlapping another.
    :attr size: of the whole file, in bytes.
    :attr keeps_checksums: whether :meth:`frame` has to be told them.
    """

    keeps_checksums: ClassVar[bool] = False
    regions: tuple[Region, ...]
    size: int

    @abstractmethod
    def frame(self, checksums: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
        """All that is not the bytes of tensors: each with its position.

        :param checksums: CRC-32 by tensor.
        """

    @abstractmethod
    def read_back(self, path: Path) -> ReadBack:
        """What the reader of this format finds in a file, knowing nothing of this layout.

        :raises FormatError: it is damaged.
        :raises FileUnreadable: it cannot be read.
        """


def require_names(tensors: Sequence[Planned]) -> None:
    """Check that each tensor has a name of its own, which UTF-8 can express.

    :raises UsageError: one has not.
    """
    seen: set[str] = set()
    for one in tensors:
        if one.name in seen:
            raise UsageError(f"two tensors of the result are named {one.name!r}")
        if not one.name.isascii() and writable(one.name) != one.name:
            raise UsageError(f"a tensor has a name that cannot be written: {one.name!r}")
        seen.add(one.name)


def writable(text: str) -> str:
    """A text as UTF-8 can express it: halves of surrogate pairs become their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def writable_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as they can be written, sorted by key."""
    return {writable(key): writable(text) for key, text in sorted(metadata.items())}
