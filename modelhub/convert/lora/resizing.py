"""The layers of a LoRA at another rank."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from modelhub.convert.computed import Computed, Recent
from modelhub.convert.lora.adapter import Layer, difference_shape
from modelhub.convert.lora.deltas import product_of
from modelhub.convert.lora.lowrank import Decomposition, RankRule, of_product
from modelhub.formats.tensor_data import ITEM_SIZES

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers


@dataclass(frozen=True, slots=True)
class Resized:
    """A layer at its new rank: its factors are computed when they are written."""

    rank: int
    down: Computed
    up: Computed


class Resizer:
    """Brings layers to other ranks, keeping the last few decompositions in memory."""

    def __init__(self, rule: RankRule) -> None:
        self._rule = rule
        self._last: Recent[Decomposition] = Recent()

    def rank(self, layer: Layer) -> int:
        """The rank that a layer gets; its values are read where the rule goes by them.

        :raises FormatError: they are no numbers, or the file is damaged.
        """
        wide = is_wide(layer)
        rows, columns = difference_shape(layer)
        highest = min(layer.shape("up")[1], rows, columns)
        if self._rule.keep is None:
            return min(self._rule.most(wide=wide), highest)
        return self._rule.chosen(self._decomposed(layer).singular, wide=wide)

    def resize(self, layer: Layer, rank: int, scale: float) -> Resized:
        """The factors of a layer at `rank`, with `scale` multiplied in."""
        up, kernel = layer.shape("up"), _kernel(layer)
        inputs = layer.shape("down")[1]

        def factors() -> tuple[Numbers, Numbers]:
            last, first = self._decomposed(layer).factors(rank, scale)
            return last.astype("<f4"), first.astype("<f4")

        # Both factors of the old rank in fp64, and what becomes of them.
        memory = 2 * ITEM_SIZES["F64"] * up[1] * sum(difference_shape(layer))
        return Resized(
            rank,
            Computed((rank, inputs, *kernel), lambda: factors()[1], memory=memory),
            Computed((up[0], rank, *up[2:]), lambda: factors()[0], memory=memory),
        )

    def _decomposed(self, layer: Layer) -> Decomposition:
        return self._last.get(layer.key, lambda: _decomposition(layer))


def is_wide(layer: Layer) -> bool:
    """Whether a layer changes a convolution wider than 1x1."""
    return prod(_kernel(layer)) > 1


def _kernel(layer: Layer) -> tuple[int, ...]:
    return layer.shape("mid" if "mid" in layer.names else "down")[2:]


def _decomposition(layer: Layer) -> Decomposition:
    return of_product(*product_of(layer))
