"""Small checkpoints, VAEs and LoRAs with real weights, told apart by a seed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.formats.weights import Weights, drawn, write_safetensors
from tests.services.index.shelf import OLD

VAE = "first_stage_model."
_VAE_SHAPES: dict[str, tuple[int, ...]] = {
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.conv_in.bias": (512,),
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "encoder.conv_out.weight": (8, 512, 3, 3),
}
_UNET_SHAPES: dict[str, tuple[int, ...]] = {
    "input_blocks.0.0.weight": (320, 4, 3, 3),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "input_blocks.1.1.proj_in.weight": (320, 320, 1, 1),
    "out.2.weight": (4, 320, 3, 3),
}


def vae(seed: int) -> Weights:
    """A VAE."""
    return drawn(_VAE_SHAPES, seed)


def checkpoint(seed: int, *, vae_seed: int) -> Weights:
    """A checkpoint for SD 1.x with a VAE."""
    unet = drawn({f"model.diffusion_model.{n}": s for n, s in _UNET_SHAPES.items()}, seed)
    return {**unet, **{VAE + name: one for name, one in vae(vae_seed).items()}}


def lora(seed: int) -> Weights:
    """A LoRA for SD 1.x."""
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    return drawn({f"{name}.lora_down.weight": (4, 768), f"{name}.lora_up.weight": (320, 4)}, seed)


def put(path: Path, weights: Weights, metadata: dict[str, str] | None = None) -> Path:
    """Write a file that rests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, weights, metadata)
    os.utime(path, ns=(OLD, OLD))
    return path
