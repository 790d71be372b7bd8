"""What a tensor table is: names, shapes and element types, before there are any values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

ITEM_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}
"""Bytes of one element, by the names that safetensors uses."""
WHOLE_NUMBERS = frozenset({"I64", "I32"})
"""Those of them that are never cast."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a table."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes."""
        return self.count * ITEM_SIZES[self.dtype]


Table: TypeAlias = list[Tensor]


def under(prefix: str, table: Table) -> Table:
    """`table` with `prefix` before every name."""
    return [replace(tensor, name=prefix + tensor.name) for tensor in table]


def cast(table: Table, dtype: str) -> Table:
    """`table` with all floating-point tensors as `dtype`."""
    return [
        tensor if tensor.dtype in WHOLE_NUMBERS else replace(tensor, dtype=dtype)
        for tensor in table
    ]


def weight_and_bias(name: str, *shape: int) -> Table:
    """A layer's two tensors; the bias is as long as the weight's first dimension."""
    return [Tensor(f"{name}.weight", shape), Tensor(f"{name}.bias", shape[:1])]


def norm(name: str, width: int) -> Table:
    """A normalisation's two tensors."""
    return [Tensor(f"{name}.weight", (width,)), Tensor(f"{name}.bias", (width,))]
