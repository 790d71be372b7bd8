"""What an adapter of a UNet is for: Stable Diffusion 1, 2, XL and their kin.

The width of the text that cross-attention reads tells them apart: 768 from CLIP-L, 1024 from
OpenCLIP-H, 2048 from both encoders of SDXL, 1280 from the one of its refiner. An adapter that
leaves cross-attention alone is told by the depth of its blocks, or by its text encoders.

Sources: the configurations of the UNets (CompVis/stable-diffusion, Stability-AI/stablediffusion,
Stability-AI/generative-models); kohya-ss/sd-scripts ``networks/lora.py``; AUTOMATIC1111's
``extensions-builtin/Lora/networks.py``; InvokeAI ``model_manager/configs/lora.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from modelhub.formats.identify.adapters.families import short
from modelhub.formats.identify.adapters.naming import (
    Modules,
    input_width,
    part_of,
    split,
)
from modelhub.formats.identity import Evidence

UNET_LEADS = frozenset(
    (
        *("down_blocks_", "up_blocks_", "mid_block_attentions_", "mid_block_resnets_"),
        *("input_blocks_", "output_blocks_", "middle_block_", "mid_block_motion_modules_"),
    )
)
"""How the paths of a UNet's modules begin."""


class Guess(NamedTuple):
    """An architecture, and what speaks for it."""

    architecture: str
    edition: str | None
    variants: tuple[str, ...]
    evidence: tuple[Evidence, ...]


_CROSS_ATTENTION: dict[int, tuple[str, str | None]] = {
    768: ("sd1", None),
    1024: ("sd2", None),
    2048: ("sdxl", None),
    1280: ("sdxl", "refiner"),
}
_READERS = ("attn2_to_k", "attn2_to_v", "attn2_processor_to_k", "attn2_processor_to_v")
_DEEP = (
    "transformer_blocks_1_attn", "transformer_blocks_2_attn", "transformer_blocks_1_ff",
    "transformer_blocks_9_",
)  # fmt: skip
_SHALLOW = ("down_blocks_0_attentions_", "input_blocks_1_1_", "up_blocks_3_attentions_",
            "output_blocks_9_1_")  # fmt: skip
"""Attention at the full size of the image, that SDXL does not have."""

_ENCODERS: dict[int, str] = {768: "CLIP-L", 1024: "OpenCLIP-H", 1280: "OpenCLIP-bigG"}


def unet_base(modules: Modules) -> Guess | None:
    """What an adapter of a UNet is for, or None when nothing tells."""
    found = _by_width(modules)
    if found is not None and found.architecture != "sd2":
        return _with_inpainting(modules, found)
    if (temporal := modules.find("temporal_transformer_blocks_")) is not None:
        return _sure("svd", None, f"layers along time ({short(temporal)})")
    if found is None and (motion := modules.find("motion_modules_")) is not None:
        return _motion(modules, motion)
    found = found or _by_depth(modules)
    return None if found is None else _with_inpainting(modules, found)


def _with_inpainting(modules: Modules, found: Guess) -> Guess:
    """The same, with the variant that a first layer for 9 channels makes it."""
    for first in ("lora_unet_conv_in", "lora_unet_input_blocks_0_0", "unet.conv_in"):
        if input_width(modules.tensors, first) == 9:
            because = f"9 input channels ({first})"
            evidence = (*found.evidence, Evidence("variants", "inpainting", because))
            return found._replace(variants=(*found.variants, "inpainting"), evidence=evidence)
    return found


def _motion(modules: Modules, name: str) -> Guess:
    because = f"changes motion modules ({short(name)})"
    found = Evidence("variants", "motion", because)
    # SDXL's UNet has three levels: there is no fourth to be named.
    if modules.find("down_blocks_3_") or modules.find("up_blocks_3_"):
        sd1 = Evidence("architecture", "sd1", f"{because}, on four levels")
        return Guess("sd1", None, ("motion",), (sd1, found))
    sdxl = Evidence("architecture", "sdxl", f"{because}, on three levels", certain=False)
    return Guess("sdxl", None, ("motion",), (sdxl, found))


def _by_width(modules: Modules) -> Guess | None:
    for reader in _READERS:
        name = modules.find(reader)
        width = modules.width(name) if name is not None else None
        if name is not None and width in _CROSS_ATTENTION:
            architecture, edition = _CROSS_ATTENTION[width]
            because = f"cross-attention width {width} ({short(name)})"
            return _sure(architecture, edition, because)
    return None


def by_number(modules: Modules) -> Guess | None:
    """Of cloneofsimo's, whose layers have numbers for names: one of them reads the text."""
    if not modules.samples[0].ending.startswith(":"):
        return None
    for name in modules.names:
        width = modules.width(name) if name.startswith("unet:") else None
        if width in (768, 1024, 2048):
            architecture, edition = _CROSS_ATTENTION[width]
            return _sure(
                architecture, edition, f"a layer that reads text of width {width} ({name})"
            )
    return None


def _by_depth(modules: Modules) -> Guess | None:
    for module in _DEEP:
        if (name := modules.find(module)) is not None:
            return _sure("sdxl", None, f"several transformers in a block ({short(name)})")
    for module in _SHALLOW:
        name = modules.find(module)
        if name is None:
            continue
        told = by_text_encoders(modules)
        if told is not None and told.architecture in ("sd1", "sd2"):
            return told
        because = f"attention on the first level ({short(name)})"
        return Guess("sd1", None, (), (Evidence("architecture", "sd1", because, certain=False),))
    return None


def by_text_encoders(modules: Modules) -> Guess | None:
    """What an adapter of text encoders alone is likely for."""
    parts = modules.parts
    if "te2" in parts and "te1" in parts:
        name = parts["te2"]
        if text_encoder_of(modules, name) == "OpenCLIP-bigG":
            return _likely("sdxl", f"two text encoders ({short(name)})")
        return None
    if "te1" not in parts:
        return None
    name = parts["te1"]
    encoder = text_encoder_of(modules, name)
    if encoder == "CLIP-L" and not name.startswith(("lora_te1_", "oft_te1_")):
        return _likely("sd1", f"changes CLIP-L alone ({short(name)})")
    if encoder == "OpenCLIP-H":
        return _likely("sd2", f"changes OpenCLIP-H alone ({short(name)})")
    return None


def text_encoder_of(modules: Modules, name: str) -> str | None:
    """Which text encoder the tensor `name` belongs to, by its layers and their width."""
    if name not in modules.encoders:
        modules.encoders[name] = _text_encoder(modules, name)
    return modules.encoders[name]


def _text_encoder(modules: Modules, name: str) -> str | None:
    parts = split(name)
    stem = parts[0] if parts is not None else name
    path = part_of(stem).path
    if "encoder_block_" in path or "block_0_layer_" in path:
        return "T5-XXL"
    if "text_model_" in path or "text_projection" in path:
        return _clip(modules, stem)
    if "layers_" in path:
        return "LLM"
    return None


def _clip(modules: Modules, stem: str) -> str:
    """Which CLIP: the smaller width of any of its layers is the width of the model."""
    joint = "." if "." in stem and "_text_model_" not in stem else "_"
    base = stem[: stem.rfind(joint + ("self_attn" if "self_attn" in stem else "mlp"))]
    for module in ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "mlp_fc1"):
        dotted = module.replace("attn_", "attn.").replace("mlp_", "mlp.")
        width = modules.width(f"{base}{joint}{module if joint == '_' else dotted}.alpha")
        if width in _ENCODERS:
            return _ENCODERS[width]
    return "CLIP"


def _sure(architecture: str, edition: str | None, because: str) -> Guess:
    evidence = [Evidence("architecture", architecture, because)]
    if edition is not None:
        evidence.append(Evidence("edition", edition, because))
    return Guess(architecture, edition, (), tuple(evidence))


def _likely(architecture: str, because: str) -> Guess:
    return Guess(
        architecture, None, (), (Evidence("architecture", architecture, because, certain=False),)
    )
