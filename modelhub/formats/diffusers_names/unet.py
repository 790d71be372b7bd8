"""The UNet: ``openaimodel.py`` of the original against ``UNet2DConditionModel``.

The original numbers its blocks through (``input_blocks.4.0``); diffusers by level and place
(``down_blocks.1.resnets.0``). Where a level ends is told by its down- or upsampler. Sources:
``CompVis/latent-diffusion`` ``ldm/modules/diffusionmodules/openaimodel.py``, and
``huggingface/diffusers`` ``loaders/single_file_utils.py``,
``scripts/convert_diffusers_to_original_stable_diffusion.py`` and ``..._sdxl.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import count

from modelhub.formats.diffusers_names.pairs import (
    Block,
    Blocks,
    Pair,
    modules_by_block,
    pairs_by_blocks,
)

_ENDS: Mapping[str, str] = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "time_embed.cond_proj": "time_embedding.cond_proj",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "label_emb": "class_embedding",
}
_ADDITION: Mapping[str, str] = {
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
}
"""SDXL's condition of pooled text and sizes."""
_CLASS: Mapping[str, str] = {
    "label_emb.0.0": "class_embedding.linear_1",
    "label_emb.0.2": "class_embedding.linear_2",
}
"""unCLIP's condition of a picture."""
_RESNET: Mapping[str, str] = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_DOWN: Mapping[str, str] = {"op": "conv"}
_ORIGINAL_DEPTHS = {"input_blocks": 3, "output_blocks": 3, "middle_block": 2}
_DIFFUSERS_DEPTHS = {"down_blocks": 4, "up_blocks": 4, "mid_block": 3}


def unet_pairs(names: Collection[str]) -> list[Pair]:
    """The pairs of a UNet's names, given in either layout without a prefix, in their order.

    Names that neither layout has are left out.
    """
    if any(name.startswith("input_blocks.") for name in names):
        return list(pairs_by_blocks(names, _of_original(names), original=True))
    return list(pairs_by_blocks(names, _of_diffusers(names), original=False))


def _of_original(names: Collection[str]) -> Blocks:
    modules = modules_by_block(names, _ORIGINAL_DEPTHS)
    # SDXL alone has no attention at its first level; unCLIP's SD 2 has.
    labels = _CLASS if "input_blocks.1.1" in modules else _ADDITION
    blocks = {old: Block(new) for old, new in (*_ENDS.items(), *labels.items())}
    return blocks | _way_down(modules) | _middle(modules) | _way_up(modules)


def _way_down(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    level = place = 0
    for number in count(1):
        first, second = f"input_blocks.{number}.0", f"input_blocks.{number}.1"
        if first not in modules:
            break
        if "op" in modules[first]:
            blocks[first] = Block(f"down_blocks.{level}.downsamplers.0", _DOWN)
            level, place = level + 1, 0
            continue
        blocks[first] = Block(f"down_blocks.{level}.resnets.{place}", _RESNET)
        if second in modules:
            blocks[second] = Block(f"down_blocks.{level}.attentions.{place}")
        place += 1
    return blocks


def _middle(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    resnets = attentions = 0
    for number in count():
        name = f"middle_block.{number}"
        if name not in modules:
            break
        if "in_layers" in modules[name]:
            blocks[name] = Block(f"mid_block.resnets.{resnets}", _RESNET)
            resnets += 1
        else:
            blocks[name] = Block(f"mid_block.attentions.{attentions}")
            attentions += 1
    return blocks


def _way_up(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    level = place = 0
    for number in count():
        name = f"output_blocks.{number}"
        if f"{name}.0" not in modules:
            break
        blocks[f"{name}.0"] = Block(f"up_blocks.{level}.resnets.{place}", _RESNET)
        ends = False
        for position in (1, 2):
            inside = modules.get(f"{name}.{position}", set())
            if "conv" in inside:
                blocks[f"{name}.{position}"] = Block(f"up_blocks.{level}.upsamplers.0")
                ends = True
            elif inside:
                blocks[f"{name}.{position}"] = Block(f"up_blocks.{level}.attentions.{place}")
        level, place = (level + 1, 0) if ends else (level, place + 1)
    return blocks


def _of_diffusers(names: Collection[str]) -> Blocks:
    modules = modules_by_block(names, _DIFFUSERS_DEPTHS)
    classes = any(name.startswith("class_embedding.linear_") for name in names)
    labels = _CLASS if classes else _ADDITION
    blocks = {old: Block(new) for old, new in (*_ENDS.items(), *labels.items())}
    return blocks | _numbered_down(modules) | _numbered_middle(modules) | _numbered_up(modules)


def _numbered_down(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    number = 1
    for level in count():
        name = f"down_blocks.{level}"
        if f"{name}.resnets.0" not in modules:
            break
        for place in range(_resnets(modules, name)):
            blocks[f"input_blocks.{number}.0"] = Block(f"{name}.resnets.{place}", _RESNET)
            if f"{name}.attentions.{place}" in modules:
                blocks[f"input_blocks.{number}.1"] = Block(f"{name}.attentions.{place}")
            number += 1
        if f"{name}.downsamplers.0" in modules:
            blocks[f"input_blocks.{number}.0"] = Block(f"{name}.downsamplers.0", _DOWN)
            number += 1
    return blocks


def _numbered_middle(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    number = 0
    for place in range(_resnets(modules, "mid_block")):
        blocks[f"middle_block.{number}"] = Block(f"mid_block.resnets.{place}", _RESNET)
        number += 1
        if f"mid_block.attentions.{place}" in modules:
            blocks[f"middle_block.{number}"] = Block(f"mid_block.attentions.{place}")
            number += 1
    return blocks


def _numbered_up(modules: Mapping[str, set[str]]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    number = 0
    for level in count():
        name = f"up_blocks.{level}"
        resnets = _resnets(modules, name)
        if not resnets:
            break
        for place in range(resnets):
            blocks[f"output_blocks.{number}.0"] = Block(f"{name}.resnets.{place}", _RESNET)
            position = 1
            if f"{name}.attentions.{place}" in modules:
                blocks[f"output_blocks.{number}.1"] = Block(f"{name}.attentions.{place}")
                position = 2
            if place == resnets - 1 and f"{name}.upsamplers.0" in modules:
                upsampler = f"output_blocks.{number}.{position}"
                blocks[upsampler] = Block(f"{name}.upsamplers.0")
            number += 1
    return blocks


def _resnets(modules: Mapping[str, set[str]], block: str) -> int:
    return next(place for place in count() if f"{block}.resnets.{place}" not in modules)
