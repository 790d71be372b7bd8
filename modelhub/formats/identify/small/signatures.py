"""Small kinds told by a few exact tensor names: a table, and what reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from modelhub.formats.identify.measures import measure
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Header, Tensor

Tensors = Mapping[str, Tensor]


class Signature(NamedTuple):
    """One line of a table of small kinds."""

    kind: ModelKind
    what: str
    """For people."""
    keys: tuple[str, ...]
    """Tensor names that all have to be there."""
    architecture: str | None = None
    variants: tuple[str, ...] = ()
    edition: str | None = None
    without: tuple[str, ...] = ()
    """Tensor names of which none may be there."""


class Width(NamedTuple):
    """How the architecture is told by one side of one tensor."""

    key: str
    side: int
    architectures: Mapping[int, str]
    says: str
    """For people: ``cross-attention width``."""


def first_of(table: Iterable[Signature], tensors: Tensors, prefix: str = "") -> Signature | None:
    """The first line of `table` that holds."""
    for line in table:
        # The first name refuses almost every file.
        if prefix + line.keys[0] not in tensors:
            continue
        if all(prefix + key in tensors for key in line.keys[1:]) and not any(
            prefix + key in tensors for key in line.without
        ):
            return line
    return None


def by_width(
    widths: Iterable[Width], tensors: Tensors, prefix: str = ""
) -> tuple[str, Evidence] | None:
    """The architecture by the first tensor of `widths` that is there, and why."""
    for line in widths:
        tensor = tensors.get(prefix + line.key)
        if tensor is None or len(tensor.shape) <= line.side:
            continue
        width = tensor.shape[line.side]
        architecture = line.architectures.get(width)
        if architecture is not None:
            because = f"{line.says} {width} ({prefix}{line.key})"
            return architecture, Evidence("architecture", architecture, because)
    return None


def identity(
    header: Header,
    line: Signature,
    *,
    told: tuple[str, Evidence] | None = None,
    prefix: str = "",
    edition: str | None = None,
    variants: tuple[str, ...] = (),
    more: tuple[Evidence, ...] = (),
    rank: int | None = None,
) -> Identity:
    """What the file is by `line` of a table, with what else was found out."""
    because = f"{line.what} ({prefix}{line.keys[0]})"
    architecture = line.architecture
    evidence = [Evidence("kind", line.kind, because)]
    if told is not None:
        architecture = told[0]
        evidence.append(told[1])
    elif architecture is not None:
        evidence.append(Evidence("architecture", architecture, because))
    variants = (*line.variants, *variants)
    evidence += [Evidence("variants", variant, because) for variant in line.variants]
    if line.edition is not None:
        evidence.append(Evidence("edition", line.edition, because))
    evidence += more
    size = measure(header)
    evidence += size.evidence()
    return Identity(
        kind=line.kind,
        architecture=architecture,
        edition=edition or line.edition,
        variants=variants,
        precision=size.precision,
        parameters=size.parameters,
        rank=rank,
        evidence=tuple(evidence),
    )
