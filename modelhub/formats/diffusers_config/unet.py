"""``unet/config.json``: the settings of ``UNet2DConditionModel``, told from its tensors.

What no tensor tells is as in the published configurations of each family
(``huggingface/diffusers`` ``models/unets/unet_2d_condition.py`` has the meaning of all of them).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from modelhub.formats.diffusers_config.shapes import PartShapes, heads, norm_groups, uniform
from modelhub.formats.diffusers_names import Family

_HEADS_OF_SD1 = 8
_SIZES_OF_TIME = 256
"""How many numbers SDXL makes of each of its sizes; 6 of them go with the pooled text."""

Depths: TypeAlias = list[list[int]]
"""By level and place, how many transformer blocks an attention has."""


def unet_config(
    shapes: PartShapes,
    family: Family,
    *,
    pooled: int | None = None,
    sample_size: int = 64,
    upcast_attention: bool = False,
) -> dict[str, Any]:
    """The configuration of a UNet.

    :param pooled: width of the pooled text that goes into SDXL's added condition.
    :param sample_size: width of the latents that it was trained on, in their own pixels.
    :param upcast_attention: whether attention has to be computed in fp32.
    :raises FormatError: its tensors are incomplete.
    """
    levels = shapes.number_of("down_blocks")
    widths = [shapes.extent(f"down_blocks.{n}.resnets.0.conv1.weight") for n in range(levels)]
    attending = [shapes.has(f"down_blocks.{level}.attentions") for level in range(levels)]
    return {
        "_class_name": "UNet2DConditionModel",
        "act_fn": "silu",
        "attention_head_dim": _heads(widths, family, linear=_linear(shapes)),
        "block_out_channels": widths,
        "center_input_sample": False,
        "cross_attention_dim": _context(shapes),
        "down_block_types": [_kind("Down", one) for one in attending],
        "downsample_padding": 1,
        "dual_cross_attention": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": shapes.extent("conv_in.weight", 1),
        "layers_per_block": uniform(_layers(shapes, levels)),
        "mid_block_scale_factor": 1,
        "mid_block_type": _middle(shapes),
        "norm_eps": 1e-05,
        "norm_num_groups": norm_groups(widths),
        "only_cross_attention": False,
        "out_channels": shapes.extent("conv_out.weight"),
        "resnet_time_scale_shift": "default",
        "sample_size": sample_size,
        "up_block_types": [
            _kind("Up", shapes.has(f"up_blocks.{level}.attentions")) for level in range(levels)
        ],
        "upcast_attention": upcast_attention,
        "use_linear_projection": _linear(shapes),
        **_depths(shapes, levels),
        **_conditions(shapes, pooled),
    }


def _kind(direction: str, attending: bool) -> str:
    return f"{'CrossAttn' if attending else ''}{direction}Block2D"


def _layers(shapes: PartShapes, levels: int) -> list[int]:
    return [shapes.number_of(f"down_blocks.{level}.resnets") for level in range(levels)]


def _middle(shapes: PartShapes) -> str | None:
    if shapes.has("mid_block.attentions.0"):
        return "UNetMidBlock2DCrossAttn"
    return "UNetMidBlock2D" if shapes.has("mid_block.resnets.0") else None


def _attentions(shapes: PartShapes) -> list[str]:
    """The names of all attention blocks."""
    blocks = [f"down_blocks.{n}" for n in range(shapes.number_of("down_blocks"))]
    blocks += ["mid_block", *(f"up_blocks.{n}" for n in range(shapes.number_of("up_blocks")))]
    return [
        f"{block}.attentions.{place}"
        for block in blocks
        for place in range(shapes.number_of(f"{block}.attentions"))
    ]


def _linear(shapes: PartShapes) -> bool:
    return any(shapes.dimensions(f"{one}.proj_in.weight") == 2 for one in _attentions(shapes))


def _context(shapes: PartShapes) -> int:
    name = next(iter(_attentions(shapes)), "down_blocks.0.attentions.0")
    return shapes.extent(f"{name}.transformer_blocks.0.attn2.to_k.weight", 1)


def _heads(widths: list[int], family: Family, *, linear: bool) -> int | list[int]:
    """Diffusers calls the number of heads ``attention_head_dim``, and cannot help it any more."""
    if family is Family.SD1 and not linear:
        return _HEADS_OF_SD1 if all(width % _HEADS_OF_SD1 == 0 for width in widths) else 1
    return [heads(width) for width in widths]


def _depths(shapes: PartShapes, levels: int) -> dict[str, Any]:
    down = _of_levels(shapes, "down_blocks", levels)
    up = _of_levels(shapes, "up_blocks", levels)
    middle = _depth(shapes, "mid_block.attentions.0")
    all_depths = {depth for level in (*down, *up, [middle]) for depth in level if depth}
    if len(all_depths) == 1:
        return {"transformer_layers_per_block": all_depths.pop()}
    if not down[-1] or not any(down[-1]):
        down[-1] = [middle or 1]
    if any(len(set(level)) > 1 for level in (*down, *up)) or _ends(down) != _ends(up[::-1]):
        return {
            "transformer_layers_per_block": [level or 1 for level in down],
            "reverse_transformer_layers_per_block": [level or 1 for level in up],
        }
    return {"transformer_layers_per_block": _ends(down)}


def _of_levels(shapes: PartShapes, blocks: str, levels: int) -> Depths:
    return [
        [
            _depth(shapes, f"{blocks}.{level}.attentions.{place}")
            for place in range(shapes.number_of(f"{blocks}.{level}.attentions"))
        ]
        for level in range(levels)
    ]


def _depth(shapes: PartShapes, attention: str) -> int:
    return shapes.number_of(f"{attention}.transformer_blocks")


def _ends(depths: Depths) -> list[int]:
    return [level[0] if level else 1 for level in depths]


def _conditions(shapes: PartShapes, pooled: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if shapes.has("add_embedding.linear_1"):
        width = shapes.extent("add_embedding.linear_1.weight", 1)
        found["addition_embed_type"] = "text_time"
        found["addition_time_embed_dim"] = _size_of_time(width, pooled)
        found["projection_class_embeddings_input_dim"] = width
    elif shapes.has("class_embedding.linear_1"):
        found["class_embed_type"] = "projection"
        width = shapes.extent("class_embedding.linear_1.weight", 1)
        found["projection_class_embeddings_input_dim"] = width
    elif shapes.has("class_embedding"):
        found["num_class_embeds"] = shapes.extent("class_embedding.weight")
    if shapes.has("time_embedding.cond_proj"):
        found["time_cond_proj_dim"] = shapes.extent("time_embedding.cond_proj.weight", 1)
    return found


def _size_of_time(width: int, pooled: int | None) -> int:
    """SDXL adds six sizes to the pooled text, its refiner four and a score."""
    if pooled is not None and width > pooled:
        for sizes in (6, 5):
            size, rest = divmod(width - pooled, sizes)
            if not rest and size % 2 == 0:
                return size
    return _SIZES_OF_TIME
