"""Small LoRAs and checkpoints of real layouts, as files, with values from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelhub.convert.computed import numbers_of
from modelhub.convert.planning import Plan
from modelhub.convert.readers import Source
from modelhub.convert.writers import write_safetensors
from modelhub.demo.weights import sd1
from modelhub.demo.weights.files import write_safetensors as write_table
from modelhub.formats.reading import read_header
from tests.formats.weights import write_safetensors as write_file

Arrays = dict[str, NDArray[Any]]
WIDTHS = sd1.Widths(unet=32, vae=16, text=768, vocabulary=8, text_layers=1)
"""As narrow as it can be and still be told for SD 1.x: that is by what its text is wide."""

CROSS = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
QUERY = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
OUT = "mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0"
PROJ = "up_blocks_1_attentions_2_proj_in"
CONV = "down_blocks_1_resnets_0_conv1"
TEXT = "text_model_encoder_layers_0_self_attn_q_proj"
SHAPES: Mapping[str, tuple[int, ...]] = {
    f"lora_unet_{CROSS}": (32, 768),
    f"lora_unet_{QUERY}": (32, 32),
    f"lora_unet_{OUT}": (128, 128),
    f"lora_unet_{PROJ}": (128, 128, 1, 1),
    f"lora_unet_{CONV}": (64, 32, 3, 3),
    f"lora_te_{TEXT}": (768, 768),
}
"""Modules of the checkpoint as kohya's trainer calls them, with the shapes of their weights."""
ORIGINAL = {
    f"lora_unet_{CROSS}": "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k",
    f"lora_unet_{QUERY}": "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
    f"lora_unet_{OUT}": "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_out.0",
    f"lora_unet_{PROJ}": "model.diffusion_model.output_blocks.5.1.proj_in",
    f"lora_unet_{CONV}": "model.diffusion_model.input_blocks.4.0.in_layers.2",
    f"lora_te_{TEXT}": "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj",
}
"""The same modules as the checkpoint calls them."""


def write_checkpoint(path: Path, seed: int = 0) -> Path:
    write_table(path, sd1.checkpoint(WIDTHS), seed, {})
    return path


def lora(
    shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    *,
    rank: int = 4,
    alpha: float | None = None,
    dtype: str = "<f4",
) -> Arrays:
    """A LoRA in kohya's names."""
    found: Arrays = {}
    for number, (stem, shape) in enumerate(shapes.items()):
        draw = np.random.default_rng(number)
        ones = (1,) * len(shape[2:])
        down = draw.standard_normal((rank, *shape[1:])) * 0.1
        up = draw.standard_normal((shape[0], rank, *ones)) * 0.1
        found[f"{stem}.lora_down.weight"] = down.astype(dtype)
        found[f"{stem}.lora_up.weight"] = up.astype(dtype)
        if alpha is not None:
            found[f"{stem}.alpha"] = np.array(alpha, dtype)
    return found


def write(path: Path, tensors: Arrays, metadata: Mapping[str, str] | None = None) -> Path:
    return write_file(path, tensors, metadata)


def arrays(source: Source) -> Arrays:
    return {name: numbers_of(values) for name, values in source.tensors.items()}


def computed(plan: Plan) -> Arrays:
    """What a plan makes, before it is rounded to the types of the result."""
    return {one.name: numbers_of(one.values) for one in plan.tensors}


def written(plan: Plan, path: Path) -> Arrays:
    """What is in the file that a plan becomes, its types as they are."""
    write_safetensors(plan, path)
    header = read_header(path)
    data = path.read_bytes()[header.data_start :]
    types = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}
    return {
        name: np.frombuffer(data[slice(*one.data_offsets)], types[one.dtype]).reshape(one.shape)
        for name, one in header.tensors.items()
    }


def difference(tensors: Arrays, stem: str) -> NDArray[np.float64]:
    """What a layer in kohya's names adds: outputs by inputs."""
    up = tensors[f"{stem}.lora_up.weight"].astype("<f8")
    down = tensors[f"{stem}.lora_down.weight"].astype("<f8")
    rank = down.shape[0]
    alpha = float(tensors[f"{stem}.alpha"]) if f"{stem}.alpha" in tensors else rank
    product = up.reshape(up.shape[0], -1) @ down.reshape(rank, -1)
    scaled: NDArray[np.float64] = product * (alpha / rank)
    return scaled
