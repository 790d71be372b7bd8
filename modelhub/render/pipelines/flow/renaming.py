"""Tensors of an original layout under the names of diffusers, cut where several were one.

Rules are a table: by the name of a layer without its last component, ``#`` for the number of a
block. A name that no rule speaks of is the same in both layouts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import prod

from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Concatenated, Reshaped, Rows
from modelhub.errors import FormatError

_NUMBERED = re.compile(r"((?:[^.0-9][^.]*\.)+)([0-9]{1,4})((?:\.[^.]+)*)")
_LEAVES = {"scale": "weight", "modulation": "scale_shift_table"}


class Cut(StrEnum):
    """Where the rows of an original tensor are cut."""

    EVENLY = "evenly"
    SWAPPED = "swapped"
    """Into halves, of which diffusers has the second first."""
    THREE_AND_REST = "three and rest"
    """Three times as many rows as the model is wide, and what is left."""
    ONE_AND_TWO = "one and two"
    """As many rows as the model is wide, and twice the half of what is left."""
    SIX_ROWS = "six rows"
    """Not cut: six rows of as many numbers, which were one."""


@dataclass(frozen=True, slots=True)
class Into:
    """What becomes of a layer.

    :param names: in diffusers, ``#`` for the number of its block; none: it is left out.
    """

    names: tuple[str, ...]
    cut: Cut = Cut.EVENLY


Rules = Mapping[str, Into]


def renamed(rules: Rules, tensors: Mapping[str, Planned], width: int) -> Iterator[Planned]:
    """All tensors under diffusers' names; no value is read.

    :param width: of the model: numbers of each token.
    :raises FormatError: a tensor cannot be cut as its rule says.
    """
    for name, one in tensors.items():
        into, number, leaf = _rule_for(name, rules)
        if into is None:
            yield one
            continue
        try:
            values = _cut(one.values, into, width)
        except ValueError as error:
            shape = list(one.values.shape)[:8]
            raise FormatError(f"the tensor {name[:200]} has the shape {shape}", hint="") from error
        for target, part in zip(into.names, values, strict=True):
            yield Planned(target.replace("#", number) + leaf, part, one.dtype)


def _rule_for(name: str, rules: Rules) -> tuple[Into | None, str, str]:
    """The rule, the number of the block, and the last component of the new name."""
    if name in rules:
        return rules[name], "", ""
    numbered = _NUMBERED.fullmatch(name)
    if numbered is not None and f"{numbered[1]}#{numbered[3]}" in rules:
        return rules[f"{numbered[1]}#{numbered[3]}"], numbered[2], ""
    stem, _, leaf = name.rpartition(".")
    leaf = f".{_LEAVES.get(leaf, leaf)}"
    if stem in rules:
        return rules[stem], "", leaf
    numbered = _NUMBERED.fullmatch(stem)
    if numbered is None:
        return None, "", ""
    return rules.get(f"{numbered[1]}#{numbered[3]}"), numbered[2], leaf


def _cut(values: Values, into: Into, width: int) -> tuple[Values, ...]:
    if len(into.names) < 2 and into.cut is Cut.EVENLY:
        return (values,) * len(into.names)
    if not values.shape:
        raise ValueError("no rows")
    rows = values.shape[0]
    if into.cut is Cut.SIX_ROWS:
        return (Reshaped(values, (6, prod(values.shape) // 6)),)
    if into.cut is Cut.SWAPPED:
        if rows % 2:
            raise ValueError("no halves")
        first, second = Rows(values, 0, rows // 2), Rows(values, rows // 2, rows)
        return (Concatenated([second, first]),)
    edges = [0]
    for size in _sizes(rows, into, width):
        edges.append(edges[-1] + size)
    return tuple(Rows(values, start, stop) for start, stop in pairwise(edges))


def _sizes(rows: int, into: Into, width: int) -> list[int]:
    if into.cut is Cut.THREE_AND_REST:
        return [width, width, width, rows - 3 * width]
    if into.cut is Cut.ONE_AND_TWO:
        half, odd = divmod(rows - width, 2)
        if odd:
            raise ValueError("no halves")
        return [width, half, half]
    each, odd = divmod(rows, len(into.names))
    if odd:
        raise ValueError("no even parts")
    return [each] * len(into.names)
