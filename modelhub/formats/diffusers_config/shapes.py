"""What a configuration is read from: the shapes of one part, named as diffusers names them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from math import gcd

from modelhub.errors import FormatError

_GROUPS = 32
"""Of the group norms, wherever the widths allow it."""
_DEEPEST = 8
"""Components of a name that can be those of a block."""


class PartShapes:
    """The shapes of one part.

    :param shapes: by the names within the part's folder.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = shapes
        self._blocks = {
            ".".join(parts[:depth])
            for parts in (name.split(".", _DEEPEST) for name in shapes)
            for depth in range(1, len(parts))
        }

    def extent(self, name: str, dimension: int = 0) -> int:
        """How large a tensor is in one dimension.

        :raises FormatError: there is no such tensor, or it has fewer dimensions.
        """
        shape = self._shapes.get(name)
        if shape is None:
            raise FormatError(f"the tensor {name} is missing", hint="")
        if len(shape) <= dimension or not shape[dimension]:
            raise FormatError(f"the tensor {name} has the shape {list(shape)[:8]}", hint="")
        return shape[dimension]

    def dimensions(self, name: str) -> int:
        """How many dimensions a tensor has; 0 where there is none of the name."""
        return len(self._shapes.get(name, ()))

    def has(self, block: str) -> bool:
        """Whether there are tensors under that name."""
        return block in self._blocks

    def number_of(self, blocks: str) -> int:
        """How many of the numbered blocks ``<blocks>.0``, ``<blocks>.1`` there are."""
        return next(number for number in count() if not self.has(f"{blocks}.{number}"))


def norm_groups(widths: list[int]) -> int:
    """How many groups a group norm of all these widths has."""
    return gcd(_GROUPS, *widths)


def heads(width: int, head_width: int = 64) -> int:
    """How many heads of that width an attention has; one, where they do not fit."""
    number = max(1, width // head_width)
    return number if width % number == 0 else 1


def uniform(values: list[int]) -> int | list[int]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else values
