"""Qwen-Image 2.1: the names and the settings of its transformer, and of its VAE.

Names as in ``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``
(``convert_qwen_image21_transformer_checkpoint_to_diffusers``: ComfyUI has gate and values of the
feed-forward network in one layer). The VAE is laid out as that of Wan 2.2 in ComfyUI's file
(``Wan-Video/Wan2.2`` ``wan/modules/vae2_2.py``), with convolutions of one picture. What no tensor
tells is as the defaults of ``src/diffusers/models/transformers/transformer_qwenimage21.py`` and
``src/diffusers/models/autoencoders/autoencoder_kl_qwenimage21.py``, which are those of
``Qwen/Qwen-Image-2.1``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.convert.values import Planned
from modelhub.convert.views import Reshaped
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.render.pipelines.flow.renaming import Into, Rules

_MLP = "transformer_blocks.#.img_mlp"
QWEN21: Rules = {f"{_MLP}.gate_up": Into((f"{_MLP}.gate_layer", f"{_MLP}.proj"))}
"""The rest has diffusers' names in all files."""

PIXELS = 16
"""Along the side of one of its latents."""
_CHANNELS = 64
"""Of its latents: the class knows the scale of so many, and of no others."""


def qwen21_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of ``QwenImage21Transformer2DModel``.

    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    width = shapes.extent("img_in.weight")
    head = shapes.extent("transformer_blocks.0.attn.norm_q.weight")
    if width % head or head % 16:
        raise FormatError(f"heads of {head} numbers do not fit a width of {width}", hint="")
    first = head // 8
    return {
        "patch_size": 1,
        "in_channels": shapes.extent("img_in.weight", 1),
        "out_channels": shapes.extent("proj_out.weight"),
        "num_layers": shapes.number_of("transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "context_in_dim": shapes.extent("txt_in.text_norm.weight"),
        "mlp_ratio": shapes.extent("transformer_blocks.0.img_mlp.proj.weight") // width,
        "axes_dims_rope": [first, (head - first) // 2, (head - first) // 2],
    }


def vae21_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of ``AutoencoderKLQwenImage21``.

    :param shapes: by the names of diffusers.
    :raises FormatError: tensors are missing, or its latents are none that are known.
    """
    channels = shapes.extent("decoder.conv_in.weight", 1)
    if channels != _CHANNELS:
        raise FormatError(
            f"its latents have {channels} channels, and those of Qwen-Image 2.1 {_CHANNELS}",
            hint="",
        )
    base = shapes.extent("encoder.conv_in.weight")
    levels = shapes.number_of("encoder.down_blocks")
    return {
        "base_dim": base,
        "decoder_base_dim": shapes.extent("decoder.conv_out.weight", 1),
        "z_dim": channels,
        "dim_mult": [
            shapes.extent(f"encoder.down_blocks.{level}.resnets.0.conv1.weight") // max(1, base)
            for level in range(levels)
        ],
        "num_res_blocks": shapes.number_of("encoder.down_blocks.0.resnets"),
        "temperal_downsample": [bool(level) for level in range(levels - 1)],
        "in_channels": shapes.extent("encoder.conv_in.weight", 1),
        "out_channels": shapes.extent("decoder.conv_out.weight"),
    }


def of_one_picture(tensors: Mapping[str, Planned]) -> Iterator[Planned]:
    """The tensors without the axis of time, where convolutions have one of length 1."""
    for one in tensors.values():
        shape = one.values.shape
        if len(shape) == 5 and shape[2] == 1:
            values = Reshaped(one.values, (*shape[:2], *shape[3:]))
            yield Planned(one.name, values, one.dtype)
        else:
            yield one
