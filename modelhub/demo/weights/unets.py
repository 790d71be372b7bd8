"""The tensor table of a UNet of Stable Diffusion, for any widths and depths.

The layout is that of ``CompVis/latent-diffusion``
``ldm/modules/diffusionmodules/openaimodel.py``, and of ``Stability-AI/generative-models`` for what
SDXL added to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights.tables import Table, Tensor, norm, weight_and_bias

_BLOCKS = 2
"""Residual blocks per level; one more on the way up."""
_LATENTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetShape:
    """What sets one UNet apart from another.

    :param width: channels of the first level.
    :param factors: of each level, by which it is wider.
    :param depths: of each level, transformer blocks in an attention; 0: it has no attention.
    :param middle_depth: the same of the middle.
    :param context: width of the text that it attends to.
    :param linear: the projections around an attention are linear layers, not convolutions.
    :param label: width of the condition beside the text (pooled text and sizes), if there is one.
    """

    width: int
    factors: tuple[int, ...]
    depths: tuple[int, ...]
    middle_depth: int
    context: int
    linear: bool = False
    label: int | None = None
    inputs: int = _LATENTS

    @property
    def embedding(self) -> int:
        """Width of the embedded time."""
        return self.width * 4


def unet(shape: UNetShape) -> Table:
    """The UNet's tensors, without a prefix."""
    width, embedding = shape.width, shape.embedding
    table = [
        *weight_and_bias("time_embed.0", embedding, width),
        *weight_and_bias("time_embed.2", embedding, embedding),
    ]
    if shape.label is not None:
        table += weight_and_bias("label_emb.0.0", embedding, shape.label)
        table += weight_and_bias("label_emb.0.2", embedding, embedding)
    table += weight_and_bias("input_blocks.0.0", width, shape.inputs, 3, 3)
    channels, skips, index = width, [width], 1
    for level, (factor, depth) in enumerate(zip(shape.factors, shape.depths, strict=True)):
        for _ in range(_BLOCKS):
            name = f"input_blocks.{index}"
            table += _residual_block(f"{name}.0", channels, width * factor, embedding)
            channels = width * factor
            table += _attention(f"{name}.1", channels, depth, shape)
            skips.append(channels)
            index += 1
        if level < len(shape.factors) - 1:
            table += weight_and_bias(f"input_blocks.{index}.0.op", channels, channels, 3, 3)
            skips.append(channels)
            index += 1
    return [
        *table,
        *_residual_block("middle_block.0", channels, channels, embedding),
        *_attention("middle_block.1", channels, shape.middle_depth, shape),
        *_residual_block("middle_block.2", channels, channels, embedding),
        *_way_up(shape, channels, skips),
        *norm("out.0", width),
        *weight_and_bias("out.2", _LATENTS, width, 3, 3),
    ]


def _way_up(shape: UNetShape, channels: int, skips: list[int]) -> Table:
    table: Table = []
    index = 0
    for level in reversed(range(len(shape.factors))):
        target, depth = shape.width * shape.factors[level], shape.depths[level]
        for block in range(_BLOCKS + 1):
            name = f"output_blocks.{index}"
            table += _residual_block(f"{name}.0", channels + skips.pop(), target, shape.embedding)
            channels = target
            table += _attention(f"{name}.1", channels, depth, shape)
            if level > 0 and block == _BLOCKS:
                position = 2 if depth else 1
                table += weight_and_bias(f"{name}.{position}.conv", channels, channels, 3, 3)
            index += 1
    return table


def _residual_block(name: str, source: int, target: int, embedding: int) -> Table:
    table = [
        *norm(f"{name}.in_layers.0", source),
        *weight_and_bias(f"{name}.in_layers.2", target, source, 3, 3),
        *weight_and_bias(f"{name}.emb_layers.1", target, embedding),
        *norm(f"{name}.out_layers.0", target),
        *weight_and_bias(f"{name}.out_layers.3", target, target, 3, 3),
    ]
    if source != target:
        table += weight_and_bias(f"{name}.skip_connection", target, source, 1, 1)
    return table


def _attention(name: str, width: int, depth: int, shape: UNetShape) -> Table:
    if not depth:
        return []
    point = () if shape.linear else (1, 1)
    table = [
        *norm(f"{name}.norm", width),
        *weight_and_bias(f"{name}.proj_in", width, width, *point),
    ]
    for number in range(depth):
        table += _transformer_block(f"{name}.transformer_blocks.{number}", width, shape.context)
    return [*table, *weight_and_bias(f"{name}.proj_out", width, width, *point)]


def _transformer_block(block: str, width: int, context: int) -> Table:
    table: Table = []
    for attention, source in (("attn1", width), ("attn2", context)):
        table += [
            Tensor(f"{block}.{attention}.to_q.weight", (width, width)),
            Tensor(f"{block}.{attention}.to_k.weight", (width, source)),
            Tensor(f"{block}.{attention}.to_v.weight", (width, source)),
            *weight_and_bias(f"{block}.{attention}.to_out.0", width, width),
        ]
    return [
        *table,
        *weight_and_bias(f"{block}.ff.net.0.proj", width * 8, width),
        *weight_and_bias(f"{block}.ff.net.2", width, width * 4),
        *norm(f"{block}.norm1", width),
        *norm(f"{block}.norm2", width),
        *norm(f"{block}.norm3", width),
    ]
