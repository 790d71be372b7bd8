"""The VAE of Sana, a deep compression autoencoder (DC-AE): names, settings of shapes.

Sources: ``mit-han-lab/efficientvit`` ``efficientvit/models/efficientvit/dc_ae.py`` (the names),
``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``
(``convert_autoencoder_dc_checkpoint_to_diffusers``) and ``scripts/convert_dcae_to_diffusers.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.convert.values import Planned
from modelhub.convert.views import Reshaped
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.render.pipelines.flow.renaming import Into, Rules, renamed

_SCALING = 0.41407
"""``mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers`` ``config.json``."""
_MOST_IN_LEVEL = 16
_WRAPPERS = ("main", "op_list")
"""Modules around others, which diffusers does not have."""
_MATRICES = (".attn.to_q.weight", ".attn.to_k.weight", ".attn.to_v.weight", ".attn.to_out.weight")
"""Convolutions of one pixel in the original, matrices in diffusers."""
_SIDES = (("encoder", "down_blocks"), ("decoder", "up_blocks"))


def _one(name: str) -> Into:
    return Into((name,))


_IN_BLOCK = {
    "conv1.conv": "conv1",
    "conv2.conv": "conv2",
    "conv2.norm": "norm",
    "conv.conv": "conv",
    "context_module.aggreg.0.0": "attn.to_qkv_multiscale.0.proj_in",
    "context_module.aggreg.0.1": "attn.to_qkv_multiscale.0.proj_out",
    "context_module.proj.conv": "attn.to_out",
    "context_module.proj.norm": "attn.norm_out",
    "local_module.inverted_conv.conv": "conv_out.conv_inverted",
    "local_module.depth_conv.conv": "conv_out.conv_depth",
    "local_module.point_conv.conv": "conv_out.conv_point",
    "local_module.point_conv.norm": "conv_out.norm",
    "conv": "conv",
}


def _rules() -> Rules:
    rules = {
        "encoder.project_in.conv": _one("encoder.conv_in"),
        "encoder.project_out.0.conv": _one("encoder.conv_out"),
        "decoder.project_in.conv": _one("decoder.conv_in"),
        "decoder.project_out.0": _one("decoder.norm_out"),
        "decoder.project_out.2.conv": _one("decoder.conv_out"),
    }
    for side, levels in _SIDES:
        for block in range(_MOST_IN_LEVEL):
            old, new = f"{side}.stages.#.{block}", f"{side}.{levels}.#.{block}"
            rules |= {f"{old}.{key}": _one(f"{new}.{name}") for key, name in _IN_BLOCK.items()}
            three = tuple(f"{new}.attn.to_{one}" for one in "qkv")
            rules[f"{old}.context_module.qkv.conv"] = Into(three)
    return rules


_RULES = _rules()


def in_diffusers_names(tensors: Mapping[str, Planned]) -> Iterator[Planned]:
    """The tensors as diffusers has them; those that it has already are left as they are.

    :raises FormatError: a tensor cannot be cut, or is no matrix where it should be.
    """
    plain = {
        (name := ".".join(part for part in old.split(".") if part not in _WRAPPERS)): Planned(
            name, one.values, one.dtype
        )
        for old, one in tensors.items()
    }
    for one in renamed(_RULES, plain, 0):
        shape = one.values.shape
        if not one.name.endswith(_MATRICES) or len(shape) != 4:
            yield one
            continue
        if shape[2:] != (1, 1):
            raise FormatError(f"the tensor {one.name[:200]} has the shape {list(shape)}", hint="")
        yield Planned(one.name, Reshaped(one.values, shape[:2]), one.dtype)


def vae_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of an ``AutoencoderDC``.

    :param shapes: of its tensors, by the names of diffusers.
    :raises FormatError: tensors are missing, or it is one that Sana does not use.
    """
    channels = shapes.extent("decoder.conv_in.weight", 1)
    config: dict[str, Any] = {
        "in_channels": shapes.extent("encoder.conv_in.weight", 1),
        "latent_channels": channels,
        "scaling_factor": _SCALING,
    }
    for side, levels in _SIDES:
        config |= _of_side(shapes, side, f"{side}.{levels}")
    widths = config["decoder_block_out_channels"]
    if len(widths) < 2 or widths[-1] % channels:
        raise FormatError(f"its levels have {widths[:8]} channels, its latents {channels}", hint="")
    up, down = (
        shapes.extent("decoder.up_blocks.0.0.conv.weight"),
        shapes.extent(f"encoder.down_blocks.0.{config['encoder_layers_per_block'][0]}.conv.weight"),
    )
    wide = config["encoder_block_out_channels"][1]
    config["upsample_block_type"] = "interpolate" if up == widths[0] else "pixel_shuffle"
    config["downsample_block_type"] = "Conv" if down == wide else "pixel_unshuffle"
    return config


def _of_side(shapes: PartShapes, side: str, levels: str) -> dict[str, Any]:
    number = shapes.number_of(levels)
    kinds, widths, layers, scales = [], [], [], []
    for level in range(number):
        last = level == number - 1
        # The last level has no other behind it; in the decoder, what enlarges comes first.
        block = f"{levels}.{level}.{int(side == 'decoder' and not last)}"
        attends = shapes.has(f"{block}.attn")
        kinds.append("EfficientViTBlock" if attends else "ResBlock")
        inner = f"{block}.attn.to_q.weight" if attends else f"{block}.conv1.weight"
        widths.append(shapes.extent(inner, 1))
        layers.append(shapes.number_of(f"{levels}.{level}") - int(not last))
        aggregated = f"{block}.attn.to_qkv_multiscale.0"
        scales.append(
            [shapes.extent(f"{aggregated}.proj_in.weight", 2)] if shapes.has(aggregated) else []
        )
    return {
        f"{side}_block_types": kinds,
        f"{side}_block_out_channels": widths,
        f"{side}_layers_per_block": layers,
        f"{side}_qkv_multiscales": scales,
    }
