"""What a conversion will do: what `convert --plan` shows, and what writers carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from modelhub.convert.options import Target
from modelhub.convert.values import Planned
from modelhub.formats.tensors import FileFormat, Header, Tensor

if TYPE_CHECKING:
    from modelhub.formats.identity import Identity


class Reason(StrEnum):
    """Why a tensor of the source is not in the result."""

    TRAINING = "training state"
    EMA = "EMA twin"
    NOT_EMA = "replaced by its EMA twin"
    SCHEDULE = "noise schedule"
    JUNK = "junk"
    DUPLICATE = "duplicate"
    OTHER_PART = "another part"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A tensor of the source that is left out; `nbytes` is its size there."""

    name: str
    nbytes: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Renamed:
    """A tensor that has another name in the result."""

    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tensors of a result and how it came to them.

    :param tensors: in the order of the source; writers sort them as their format has it.
    :param metadata: of the result, provenance included, all text.
    :param operation: in one line, as it is kept in the result and in the catalog:
        ``fp16, vae fp32, ema, pruned``.
    :param notices: what the user should know of it beforehand.
    :param added: the names of those tensors whose values are of another file than the source, or
        of none.
    """

    tensors: tuple[Planned, ...]
    dropped: tuple[Dropped, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""
    notices: tuple[str, ...] = ()
    target: Target = Target.SAFETENSORS
    added: frozenset[str] = frozenset()

    @property
    def nbytes(self) -> int:
        """Of all tensors in the result, in bytes: what it will weigh but for its header."""
        return sum(one.nbytes for one in self.tensors)

    @cached_property
    def header(self) -> Header:
        """The result's header as a reader will find it, for identification."""
        tensors, start = {}, 0
        for one in self.tensors:
            tensors[one.name] = Tensor(one.dtype, one.values.shape, (start, start + one.nbytes))
            start += one.nbytes
        return Header(
            format=FileFormat.SAFETENSORS,
            tensors=tensors,
            metadata=self.metadata,
            size=start,
        )

    @cached_property
    def identity(self) -> Identity:
        """What the result will be, by its tensors."""
        from modelhub.formats.identify import identify

        return identify(self.header)
