"""Pairs of names: one tensor, or a third of one, as both layouts have it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple


class Change(StrEnum):
    """How a tensor of the original layout becomes that of diffusers."""

    SAME = "same"
    FIRST_THIRD = "first third"
    """Of the rows: three tensors of diffusers are one of the original."""
    SECOND_THIRD = "second third"
    LAST_THIRD = "last third"
    TRANSPOSED = "transposed"
    POINTWISE = "pointwise"
    """The weight of a convolution of one point (``c, c, 1, 1``) is that of a linear layer."""


THIRDS = (Change.FIRST_THIRD, Change.SECOND_THIRD, Change.LAST_THIRD)
"""In the order of the rows."""


class Pair(NamedTuple):
    """One correspondence; true in both directions."""

    original: str
    diffusers: str
    change: Change = Change.SAME


def shape_in_diffusers(pair: Pair, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What the shape of an original tensor is in diffusers."""
    if pair.change in THIRDS and shape:
        return (shape[0] // 3, *shape[1:])
    if pair.change is Change.TRANSPOSED:
        return shape[::-1]
    if pair.change is Change.POINTWISE:
        return shape[:2]
    return shape


class Block(NamedTuple):
    """A module of diffusers that stands for one of the original layout.

    :param leaves: the names of its layers, original to diffusers; None: they are the same.
    :param pointwise: of those layers (by their original names), which change their shape.
    """

    name: str
    leaves: Mapping[str, str] | None = None
    pointwise: Collection[str] = ()


Blocks = Mapping[str, Block]
"""By the name of the block in the original layout."""

_DEEPEST = 5
"""Components of the longest name of a block: ``encoder.down_blocks.0.resnets.0``."""


def pairs_by_blocks(names: Collection[str], blocks: Blocks, *, original: bool) -> Iterator[Pair]:
    """The pairs of all names that lie in one of the blocks, in the order of the names.

    :param original: the names are those of the original layout, else those of diffusers.
    """
    if original:
        index = {old: (old, block) for old, block in blocks.items()}
    else:
        index = {block.name: (old, block) for old, block in blocks.items()}
    for name in names:
        found = _block_of(name, index)
        if found is not None:
            leaf, (old, block) = found
            pair = _pair(leaf, old, block, original=original)
            if pair is not None:
                yield pair


def _block_of(
    name: str, index: Mapping[str, tuple[str, Block]]
) -> tuple[str, tuple[str, Block]] | None:
    """What is left of the name behind the longest block that it lies in, and that block."""
    parts = name.split(".", _DEEPEST)
    for depth in range(len(parts) - 1, 0, -1):
        found = index.get(".".join(parts[:depth]))
        if found is not None:
            return ".".join(parts[depth:]), found
    return None


def _pair(leaf: str, old: str, block: Block, *, original: bool) -> Pair | None:
    if block.leaves is None:
        return Pair(f"{old}.{leaf}", f"{block.name}.{leaf}")
    layer, _, tensor = leaf.rpartition(".")
    if original:
        other = block.leaves.get(layer)
        here = layer
    else:
        other = next((key for key, value in block.leaves.items() if value == layer), None)
        here = other or ""
    if other is None:
        return None
    pointwise = tensor == "weight" and here in block.pointwise
    change = Change.POINTWISE if pointwise else Change.SAME
    if original:
        return Pair(f"{old}.{leaf}", f"{block.name}.{other}.{tensor}", change)
    return Pair(f"{old}.{other}.{tensor}", f"{block.name}.{leaf}", change)


def modules_by_block(names: Collection[str], depths: Mapping[str, int]) -> dict[str, set[str]]:
    """By the name of a block, the first components of what lies in it.

    :param depths: how many components a block's name has, by its first one.
    """
    found: dict[str, set[str]] = {}
    for name in names:
        parts = name.split(".", _DEEPEST)
        depth = depths.get(parts[0], 0)
        if 0 < depth < len(parts):
            found.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    return found
