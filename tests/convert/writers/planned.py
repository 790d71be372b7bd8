"""Plans of real files, and of values that have to be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from modelhub.convert.planning import Plan
from modelhub.convert.readers import Source, open_source
from modelhub.convert.values import Planned, Values

MIB = 1 << 20


def drawn(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Numbers in fp32 as weights have them."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def source_of(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Source:
    """An open file with these tensors."""
    save_file(dict(arrays), path)
    return open_source(path)


def plan_of(source: Source, dtype: str | None = None, **metadata: str) -> Plan:
    """All its tensors, those of floating point in a type."""
    tensors = tuple(
        Planned(name, one, dtype if dtype and one.dtype.startswith("F") else one.dtype)
        for name, one in source.tensors.items()
    )
    return Plan(tensors=tensors, metadata=metadata)


class Given(Values):
    """Values that lie nowhere: bytes, in pieces of any sizes."""

    def __init__(self, dtype: str, shape: tuple[int, ...], *pieces: bytes) -> None:
        self.dtype = dtype
        self.shape = shape
        self._pieces = pieces

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield from self._pieces


def names(folder: Path) -> set[str]:
    """All that is in a folder."""
    return {entry.name for entry in folder.iterdir()}
