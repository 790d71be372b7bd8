"""Tiny checkpoints with some tensors made larger, or made other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from modelhub.demo.weights import sd1
from modelhub.demo.weights.files import write_safetensors


def with_changed(path: Path, factors: Mapping[str, float] | None = None, *, seed: int = 1) -> str:
    """A tiny SD 1.x checkpoint; the values of these tensors are multiplied."""
    write_safetensors(path, sd1.checkpoint(sd1.TINY), seed, {})
    if factors:
        tensors = load_file(path)
        for name, factor in factors.items():
            tensors[name] = (tensors[name] * np.float32(factor)).astype(tensors[name].dtype)
        save_file(tensors, path)
    return os.fspath(path)
