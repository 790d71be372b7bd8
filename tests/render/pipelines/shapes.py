"""Tensors of which nobody reads more than the shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.convert.values import Planned, Values


class Shape(Values):
    """Values of which nobody asks but the shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = "F32", shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("values were read")


def planned(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Planned]:
    """Tensors with these names and shapes."""
    return {name: Planned(name, Shape(shape), "F32") for name, shape in shapes.items()}
