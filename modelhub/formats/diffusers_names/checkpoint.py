"""The parts of a single file in the original layout, and which folder of diffusers each becomes.

Prefixes as in ``huggingface/diffusers`` ``loaders/single_file_utils.py``: Stable Diffusion 1 and 2
have their text encoder in ``cond_stage_model.``, SDXL has two in ``conditioner.embedders.``, its
refiner the larger one of them alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelhub.formats.diffusers_names.pairs import Pair
from modelhub.formats.diffusers_names.text import HF_PREFIX, text_pairs
from modelhub.formats.diffusers_names.unet import unet_pairs
from modelhub.formats.diffusers_names.vae import vae_pairs


class Family(StrEnum):
    """The Stable Diffusion models, by how their parts are named."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"
    REFINER = "sdxl refiner"


class PartKind(StrEnum):
    """What the names of a part follow."""

    UNET = "unet"
    VAE = "vae"
    CLIP = "clip"
    """The text encoder as transformers names it."""
    OPEN_CLIP = "open clip"


@dataclass(frozen=True, slots=True)
class NamedPart:
    """One part of a file.

    :param folder: of a diffusers pipeline; empty for the only part of a file.
    :param prefix: of its tensors in the file.
    """

    folder: str
    prefix: str
    kind: PartKind


_UNET = "input_blocks.0.0.weight"
_CLIP = "encoder.layers.0.layer_norm1.weight"
_OPEN = "transformer.resblocks.0.ln_1.weight"
_FIRST, _SECOND = "conditioner.embedders.0.", "conditioner.embedders.1."
_OLD = "cond_stage_model."
_TEXT, _TEXT_2 = "text_encoder", "text_encoder_2"

# Prefix, a name that tells the part, what it is, its folder; the first of each folder counts.
_PARTS: tuple[tuple[str, tuple[str, ...], PartKind, str], ...] = (
    ("model.diffusion_model.", (_UNET,), PartKind.UNET, "unet"),
    ("first_stage_model.", ("decoder.conv_in.weight",), PartKind.VAE, "vae"),
    ("first_stage_model.", ("encoder.conv_in.weight",), PartKind.VAE, "vae"),
    (f"{_OLD}transformer.", (HF_PREFIX + _CLIP,), PartKind.CLIP, _TEXT),
    (f"{_OLD}transformer.", (_CLIP,), PartKind.CLIP, _TEXT),
    (f"{_OLD}model.", (_OPEN,), PartKind.OPEN_CLIP, _TEXT),
    (f"{_FIRST}transformer.", (HF_PREFIX + _CLIP,), PartKind.CLIP, _TEXT),
    (f"{_FIRST}model.", (_OPEN,), PartKind.OPEN_CLIP, _TEXT_2),
    (f"{_SECOND}model.", (_OPEN,), PartKind.OPEN_CLIP, _TEXT_2),
)
_ALONE: tuple[tuple[str, tuple[str, ...], PartKind], ...] = (
    ("", (_UNET, "time_embed.0.weight"), PartKind.UNET),
    ("", ("decoder.conv_in.weight", "decoder.mid.block_1.norm1.weight"), PartKind.VAE),
    ("", (HF_PREFIX + _CLIP,), PartKind.CLIP),
    ("", (_OPEN,), PartKind.OPEN_CLIP),
)
_LAYER_OF_OPEN = re.compile(r"transformer\.resblocks\.(\d{1,3})\.")
_LAYERS_OF_SD2 = 24
"""Of OpenCLIP-H. Stable Diffusion 2 reads what comes out of the last but one."""


def parts_of_checkpoint(names: Collection[str]) -> list[NamedPart]:
    """The parts of a file in the original layout; of a file with one part alone, that one.

    Parts that diffusers has in no folder (the EMA twin, the schedule) are not among them.
    """
    known = names if isinstance(names, dict | set | frozenset) else set(names)
    found: dict[str, NamedPart] = {}
    for prefix, told_by, kind, folder in _PARTS:
        if folder not in found and all(prefix + name in known for name in told_by):
            found[folder] = NamedPart(folder, prefix, kind)
    if found:
        return list(found.values())
    for prefix, told_by, kind in _ALONE:
        if all(name in known for name in told_by):
            return [NamedPart("", prefix, kind)]
    return []


def family_of(parts: Sequence[NamedPart], names: Collection[str]) -> Family:
    """Which model the parts are of: by the text encoders, and without any by the UNet.

    SDXL's UNet has no attention at its first level. That of SD 2 has linear projections, which are
    not told from their names: without a text encoder it counts as SD 1.
    """
    by_folder = {one.folder: one for one in parts}
    text, second = by_folder.get(_TEXT), by_folder.get(_TEXT_2)
    if second is not None:
        refiner = second.prefix.startswith(_FIRST)
        return Family.REFINER if refiner else Family.SDXL
    if text is not None:
        if text.prefix.startswith(_FIRST):
            return Family.SDXL
        return Family.SD2 if text.kind is PartKind.OPEN_CLIP else Family.SD1
    unet = next((one for one in parts if one.kind is PartKind.UNET), None)
    if unet is None or f"{unet.prefix}input_blocks.1.1.norm.weight" in names:
        return Family.SD1
    return Family.SDXL


def pairs_of_part(part: NamedPart, names: Collection[str]) -> list[Pair]:
    """The pairs of a part: whole names of the file, and those within the folder.

    What diffusers has no place for is left out: numbers of positions, the scale of the logits, and
    of SD 2's text encoder the last layer and the projection, which no program reads.

    :param names: all names of the file.
    """
    inner = [name.removeprefix(part.prefix) for name in names if name.startswith(part.prefix)]
    if part.kind is PartKind.UNET:
        pairs = unet_pairs(inner)
    elif part.kind is PartKind.VAE:
        pairs = vae_pairs(inner)
    elif part.kind is PartKind.CLIP:
        pairs = _clip_pairs(inner)
    else:
        pairs = text_pairs(inner)
        if part.folder == _TEXT:
            pairs = _read_by_sd2(pairs)
    return [one._replace(original=part.prefix + one.original) for one in pairs]


def _clip_pairs(names: Collection[str]) -> list[Pair]:
    pairs = []
    for name in names:
        outside = name.startswith((HF_PREFIX, "text_projection."))
        there = name if outside else HF_PREFIX + name
        if there.startswith(_CLIP_MODULES) and not name.endswith("position_ids"):
            pairs.append(Pair(name, there))
    return pairs


_CLIP_MODULES = (
    "text_model.embeddings.",
    "text_model.encoder.layers.",
    "text_model.final_layer_norm.",
    "text_projection.",
)


def _read_by_sd2(pairs: list[Pair]) -> list[Pair]:
    layers = [_LAYER_OF_OPEN.match(one.original) for one in pairs]
    numbers = {int(found[1]) for found in layers if found is not None}
    projected = any(one.original == "text_projection" for one in pairs)
    if not projected and len(numbers) != _LAYERS_OF_SD2:
        return pairs
    last = f"transformer.resblocks.{max(numbers)}."
    return [
        one
        for one in pairs
        if not one.original.startswith(last) and one.original != "text_projection"
    ]
