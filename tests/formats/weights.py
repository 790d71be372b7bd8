"""Small files of real weights in several precisions and containers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .written import around, safetensors_header

Weights = Mapping[str, NDArray[np.generic]]
"""By name; ``uint16`` stands for bf16, whose bits it holds."""

_DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<u2": "BF16", "<i8": "I64", "|u1": "U8"}


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of these shapes in fp32."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(shape, dtype=np.float32) * 0.1
        for name, shape in shapes.items()
    }


def as_fp16(weights: Weights) -> dict[str, NDArray[np.generic]]:
    """Rounded to fp16."""
    return {name: one.astype("<f2") for name, one in weights.items()}


def as_bf16(weights: Weights) -> dict[str, NDArray[np.generic]]:
    """Rounded to bf16: the better of the two neighbours, the even one of two equally good ones."""
    return {name: _bf16(one) for name, one in weights.items()}


def _bf16(numbers: NDArray[np.generic]) -> NDArray[np.generic]:
    wide = numbers.astype("<f4")
    below = wide.view("<u4") >> 16
    exact = wide.astype("<f8")
    values = [((below + step) << 16).astype("<u4").view("<f4").astype("<f8") for step in (0, 1)]
    down, up = (np.abs(value - exact) for value in values)
    nearest = np.where((up < down) | ((up == down) & (below % 2 == 1)), below + 1, below)
    return nearest.astype("<u2")


def write_safetensors(
    path: Path, weights: Weights, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a safetensors file in the order of `weights`."""
    described = {name: (_DTYPES[one.dtype.str], one.shape) for name, one in weights.items()}
    data = b"".join(one.tobytes() for one in weights.values())
    path.write_bytes(around(safetensors_header(described, metadata), data))
    return path
