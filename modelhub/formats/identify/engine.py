"""The engine of identification: what a rule is, and how one is asked of the tensors under a prefix.

A rule is a line of a table: a tensor that has to be there, the shape it has to have, what that
means, and where that is known from. Rules are asked by exact name, so that a table costs one
look-up a line, however many tensors a file has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Tensor

Shape = tuple[int | None, ...]
ANY = None
"""Any size of that dimension."""

PACKED = frozenset({"U8", "I8"})
"""Types that also hold two 4-bit numbers a byte."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: where `key` is there with `shape`, the file is `value`, for `because`."""

    value: str
    key: str
    shape: Shape
    """The first dimensions, in the order of torch; empty: any shape."""
    because: str
    source: str
    """The public project and file that this is known from."""
    also: tuple[str, ...] = ()
    """Further tensors that have to be there."""
    without: tuple[str, ...] = ()
    """Tensors that must not be there."""


class View:
    """The tensors of a file whose names begin with one prefix."""

    __slots__ = ("prefix", "tensors")

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        self.tensors = tensors
        self.prefix = prefix

    def under(self, prefix: str) -> View:
        """The same, with a longer prefix."""
        return View(self.tensors, self.prefix + prefix)

    def has(self, key: str) -> bool:
        """Whether there is a tensor of that name."""
        return self.prefix + key in self.tensors

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of a tensor as the model computes with it; None where there is none."""
        name = self.prefix + key
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        # NVFP4 packs two numbers of a row into each byte, and says so by a second scale.
        if tensor.dtype in PACKED and name + "_scale_2" in self.tensors and tensor.shape:
            return (*tensor.shape[:-1], tensor.shape[-1] * 2)
        return tensor.shape

    def holds(self, rule: Rule) -> bool:
        """Whether a rule holds of these tensors."""
        prefix, tensors = self.prefix, self.tensors
        if prefix + rule.key not in tensors:
            return False
        if rule.shape and not fits(self.shape(rule.key), rule.shape):
            return False
        return all(prefix + key in tensors for key in rule.also) and not any(
            prefix + key in tensors for key in rule.without
        )

    def first(self, rules: Iterable[Rule]) -> Rule | None:
        """The first rule that holds."""
        prefix, tensors = self.prefix, self.tensors
        for rule in rules:
            if prefix + rule.key in tensors and self.holds(rule):
                return rule
        return None

    def all(self, rules: Iterable[Rule]) -> Iterator[Rule]:
        """All rules that hold, in the order of the table."""
        return (rule for rule in rules if self.holds(rule))

    def reason(self, rule: Rule) -> str:
        """Why the rule holds, for people: its words and the tensor."""
        return f"{rule.because} ({self.prefix}{rule.key})"


def fits(shape: Sequence[int] | None, wanted: Shape) -> bool:
    """Whether the first dimensions of a shape are the wanted ones."""
    if shape is None or len(shape) < len(wanted):
        return False
    return all(want is ANY or want == have for want, have in zip(wanted, shape, strict=False))


class Findings:
    """What is known so far of one file; what was said first of a field stays."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.evidence: list[Evidence] = []

    def say(
        self, field: str, value: str | bool | int, because: str, *, certain: bool = True
    ) -> None:
        """Set a field, unless it is set, and keep the reason."""
        if self.fields.get(field) is None:
            self.fields[field] = value
            self.evidence.append(Evidence(field, _words(value), because, certain))

    def add(self, field: str, value: str, because: str, *, certain: bool = True) -> None:
        """Add to a field of several values, unless it is among them, and keep the reason."""
        have: tuple[str, ...] = self.fields.get(field, ())
        if value not in have:
            self.fields[field] = (*have, value)
            self.evidence.append(Evidence(field, value, because, certain))

    def note(self, field: str, value: str, because: str, *, certain: bool = True) -> None:
        """Keep a reason, without setting a field by it."""
        self.evidence.append(Evidence(field, value, because, certain))

    def get(self, field: str) -> Any:
        """What a field is set to; None where it is not."""
        return self.fields.get(field)

    def identity(self) -> Identity:
        """All that was found."""
        return Identity(**self.fields, evidence=tuple(self.evidence))


def _words(value: str | bool | int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.value if isinstance(value, ModelKind) else str(value)
