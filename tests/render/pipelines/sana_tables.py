"""Sana's layouts, at the true widths or at small ones: the transformer and the VAE (DC-AE).

Sources: ``NVlabs/Sana`` ``diffusion/model/nets/sana_multi_scale.py``, ``mit-han-lab/efficientvit``
``efficientvit/models/efficientvit/dc_ae.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias

_FREQUENCIES = 256


@dataclass(frozen=True, slots=True)
class Widths:
    """Those of the 1.6B for 1024 pixels.

    :param inner: of the feed-forward network, each of its halves.
    :param places: of the position table, which only those of 2K and 4K compute with.
    :param normed: queries and keys are, from 1.5 on.
    """

    width: int = 2240
    inner: int = 5600
    caption: int = 2304
    blocks: int = 20
    places: int = 1024
    normed: bool = False


TINY = Widths(width=64, inner=160, caption=64, blocks=2)


def transformer(widths: Widths) -> Table:
    """The transformer under the names of its makers."""
    width = widths.width
    table = [
        Tensor("pos_embed", (1, widths.places, width)),
        *weight_and_bias("x_embedder.proj", width, 32, 1, 1),
        *weight_and_bias("t_embedder.mlp.0", width, _FREQUENCIES),
        *weight_and_bias("t_embedder.mlp.2", width, width),
        *weight_and_bias("t_block.1", width * 6, width),
        Tensor("y_embedder.y_embedding", (300, widths.caption)),
        *weight_and_bias("y_embedder.y_proj.fc1", width, widths.caption),
        *weight_and_bias("y_embedder.y_proj.fc2", width, width),
        Tensor("attention_y_norm.weight", (width,)),
        *weight_and_bias("final_layer.linear", 32, width),
        Tensor("final_layer.scale_shift_table", (2, width)),
    ]
    for block in range(widths.blocks):
        name = f"blocks.{block}"
        table += [
            Tensor(f"{name}.scale_shift_table", (6, width)),
            Tensor(f"{name}.attn.qkv.weight", (width * 3, width)),
            *weight_and_bias(f"{name}.attn.proj", width, width),
            *weight_and_bias(f"{name}.cross_attn.q_linear", width, width),
            *weight_and_bias(f"{name}.cross_attn.kv_linear", width * 2, width),
            *weight_and_bias(f"{name}.cross_attn.proj", width, width),
            *weight_and_bias(f"{name}.mlp.inverted_conv.conv", widths.inner * 2, width, 1, 1),
            *weight_and_bias(f"{name}.mlp.depth_conv.conv", widths.inner * 2, 1, 3, 3),
            Tensor(f"{name}.mlp.point_conv.conv.weight", (width, widths.inner, 1, 1)),
        ]
        if widths.normed:
            table += [
                Tensor(f"{name}.{attention}.{one}_norm.weight", (width,))
                for attention in ("attn", "cross_attn")
                for one in "qk"
            ]
    return table


@dataclass(frozen=True, slots=True)
class Levels:
    """Those of ``dc-ae-f32c32-sana``: widths, blocks, and which of them attend."""

    widths: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    encoder: tuple[int, ...] = (2, 2, 2, 3, 3, 3)
    decoder: tuple[int, ...] = (3, 3, 3, 3, 3, 3)
    attending: tuple[bool, ...] = (False, False, False, True, True, True)
    scaled: tuple[bool, ...] = (False, False, False, True, True, True)


SMALL = Levels((16, 32, 32), (1, 2, 1), (2, 1, 1), (False, True, True), (False, False, True))


def autoencoder(levels: Levels) -> Table:
    """The VAE under the names of its makers."""
    first, last = levels.widths[0], levels.widths[-1]
    table = [
        *weight_and_bias("encoder.project_in.conv", first, 3, 3, 3),
        *weight_and_bias("encoder.project_out.main.op_list.0.conv", 32, last, 3, 3),
        *weight_and_bias("decoder.project_in.main.conv", last, 32, 3, 3),
        *_norm("decoder.project_out.op_list.0", first),
        *weight_and_bias("decoder.project_out.op_list.2.conv", 3, first, 3, 3),
    ]
    for side, blocks in (("encoder", levels.encoder), ("decoder", levels.decoder)):
        for level, number in enumerate(blocks):
            for block in range(number):
                later = side == "decoder" and level < len(blocks) - 1
                name = f"{side}.stages.{level}.op_list.{block + later}"
                table += _block(name, levels, level)
    for level, (inner, outer) in enumerate(pairwise(levels.widths)):
        name = f"encoder.stages.{level}.op_list.{levels.encoder[level]}.main.conv"
        table += weight_and_bias(name, outer, inner, 3, 3)
        table += weight_and_bias(
            f"decoder.stages.{level}.op_list.0.main.conv.conv", inner, outer, 3, 3
        )
    return table


def _block(name: str, levels: Levels, level: int) -> Table:
    width = levels.widths[level]
    if not levels.attending[level]:
        return [
            *weight_and_bias(f"{name}.main.conv1.conv", width, width, 3, 3),
            Tensor(f"{name}.main.conv2.conv.weight", (width, width, 3, 3)),
            *_norm(f"{name}.main.conv2.norm", width),
        ]
    attention, mixing = f"{name}.context_module.main", f"{name}.local_module.main"
    scales = int(levels.scaled[level])
    table = [
        Tensor(f"{attention}.qkv.conv.weight", (width * 3, width, 1, 1)),
        Tensor(f"{attention}.proj.conv.weight", (width, width * (1 + scales), 1, 1)),
        *_norm(f"{attention}.proj.norm", width),
        *weight_and_bias(f"{mixing}.inverted_conv.conv", width * 8, width, 1, 1),
        *weight_and_bias(f"{mixing}.depth_conv.conv", width * 8, 1, 3, 3),
        Tensor(f"{mixing}.point_conv.conv.weight", (width, width * 4, 1, 1)),
        *_norm(f"{mixing}.point_conv.norm", width),
    ]
    if scales:
        table += [
            Tensor(f"{attention}.aggreg.0.0.weight", (width * 3, 1, 5, 5)),
            Tensor(f"{attention}.aggreg.0.1.weight", (width * 3, 32, 1, 1)),
        ]
    return table


def _norm(name: str, width: int) -> Table:
    return [Tensor(f"{name}.{one}", (width,)) for one in ("weight", "bias")]
