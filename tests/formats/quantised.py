"""GGUF files with quantised weights, made of the tensors of another file or of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelhub.convert.readers import open_source
from modelhub.formats.gguf_types import BLOCKS, TYPES
from tests.formats.written import GgufWriter

_NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}


def arrays_of(path: str | Path) -> dict[str, Any]:
    """All tensors of a file that are in fp32, or are read as such."""
    with open_source(Path(path)) as source:
        return {
            name: np.frombuffer(b"".join(map(bytes, one.pieces())), np.float32).reshape(one.shape)
            for name, one in source.tensors.items()
            if one.dtype == "F32"
        }


def write_gguf(
    path: Path,
    arrays: Mapping[str, Any],
    kind: str = "Q8_0",
    *,
    writer: GgufWriter | None = None,
    named: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Write a file whose matrices are quantised, as far as their rows are of whole blocks.

    Where they are not, but all numbers together are, ComfyUI-GGUF's converter puts them into rows
    that are, and keeps the shape: so does this.

    :param named: what a tensor is called in the file.
    :returns: the numbers that the file stands for, by the names in `arrays`.
    """
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    writer = writer or GgufWriter()
    pieces: list[bytes] = []
    position, told = 0, {}
    for name, array in arrays.items():
        block = BLOCKS[kind][0] if kind in BLOCKS else 1
        shape, packed, stored = array.shape, array, "F32"
        if len(shape) > 1 and array.size % block == 0 and kind in BLOCKS:
            stored = kind
            if shape[-1] % block:
                writer.numbers(f"comfy.gguf.orig_shape.{named(name)}", "i", shape)
                shape = (array.size // block, block)
            # As one row, since gguf works rows off in small groups.
            packed = quantize(array.reshape(1, -1), GGMLQuantizationType[kind])
            told[name] = dequantize(packed, GGMLQuantizationType[kind]).reshape(array.shape)
        else:
            told[name] = array
        writer.tensor(named(name), shape[::-1], _NUMBERS[stored], position)
        pieces += [data := packed.tobytes(), bytes(-len(data) % 32)]
        position += len(data) + len(pieces[-1])
    path.write_bytes(b"".join([writer.file(), *pieces]))
    return told
