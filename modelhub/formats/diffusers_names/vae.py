"""The autoencoder: ``model.py`` of the original against ``AutoencoderKL``.

The original counts the decoder's levels from the picture, diffusers from the latents. Its
attention has convolutions of one point where diffusers has linear layers, which older versions
called ``query``, ``key``, ``value`` and ``proj_attn``. Sources: ``CompVis/latent-diffusion``
``ldm/modules/diffusionmodules/model.py``, ``huggingface/diffusers``
``loaders/single_file_utils.py`` and ``models/modeling_utils.py`` (names of older versions).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from modelhub.formats.diffusers_names.pairs import Block, Blocks, Pair, pairs_by_blocks

_RESNET: Mapping[str, str] = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "nin_shortcut": "conv_shortcut",
}
_POINTWISE = ("q", "k", "v", "proj_out")
_ATTENTION: Mapping[str, str] = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}
_OLDER_ATTENTION: Mapping[str, str] = {
    "norm": "group_norm",
    "q": "query",
    "k": "key",
    "v": "value",
    "proj_out": "proj_attn",
}
_SIDES = ("encoder", "decoder")


def vae_pairs(names: Collection[str]) -> list[Pair]:
    """The pairs of an autoencoder's names, given in either layout without a prefix, in their order.

    Names that neither layout has are left out.
    """
    original = not any(
        name.startswith(("encoder.down_blocks.", "decoder.up_blocks.")) for name in names
    )
    return list(pairs_by_blocks(names, _blocks(names, original=original), original=original))


def _blocks(names: Collection[str], *, original: bool) -> Blocks:
    older = any(".proj_attn." in name for name in names)
    attention = _OLDER_ATTENTION if older else _ATTENTION
    blocks = {"quant_conv": Block("quant_conv"), "post_quant_conv": Block("post_quant_conv")}
    for side in _SIDES:
        blocks |= {
            f"{side}.conv_in": Block(f"{side}.conv_in"),
            f"{side}.norm_out": Block(f"{side}.conv_norm_out"),
            f"{side}.conv_out": Block(f"{side}.conv_out"),
            f"{side}.mid.block_1": Block(f"{side}.mid_block.resnets.0", _RESNET),
            f"{side}.mid.attn_1": Block(f"{side}.mid_block.attentions.0", attention, _POINTWISE),
            f"{side}.mid.block_2": Block(f"{side}.mid_block.resnets.1", _RESNET),
        }
    levels = _levels(names, "encoder.down." if original else "encoder.down_blocks.")
    for level, resnets in levels.items():
        blocks |= _level("encoder.down", f"encoder.down_blocks.{level}", level, resnets, "down")
    levels = _levels(names, "decoder.up." if original else "decoder.up_blocks.")
    for here, resnets in levels.items():
        there = len(levels) - 1 - here
        old, new = (here, there) if original else (there, here)
        blocks |= _level("decoder.up", f"decoder.up_blocks.{new}", old, resnets, "up")
    return blocks


def _levels(names: Collection[str], prefix: str) -> dict[int, int]:
    """How many residual blocks each level has."""
    found: dict[int, int] = {}
    for name in names:
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split(".", 3)
        level = _number(parts[0])
        if level is not None and len(parts) > 2:
            place = _number(parts[2]) if parts[1] in ("block", "resnets") else None
            found[level] = max(found.get(level, 0), 0 if place is None else place + 1)
    return found


_MOST = 64
"""A level or a place beyond is none."""


def _number(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else _MOST
    return number if number < _MOST else None


def _level(before: str, new: str, level: int, resnets: int, direction: str) -> dict[str, Block]:
    blocks = {
        f"{before}.{level}.block.{place}": Block(f"{new}.resnets.{place}", _RESNET)
        for place in range(resnets)
    }
    blocks[f"{before}.{level}.{direction}sample"] = Block(f"{new}.{direction}samplers.0")
    return blocks
