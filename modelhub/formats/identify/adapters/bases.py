"""The architecture that an adapter is for: by the blocks that it names and their widths.

The table below is read from the top: of the rules for a block, the first whose module is there
and whose width fits, speaks. A rule that is only likely is a guess.

Sources: kohya-ss/sd-scripts ``networks/lora_{flux,sd3,lumina,anima,hunyuan_image}.py``;
kohya-ss/musubi-tuner ``networks``; invoke-ai/InvokeAI ``model_manager/configs/lora.py``,
``flux2_variant.py`` and ``backend/patches/lora_conversions``; huggingface/diffusers
``loaders/lora_conversion_utils.py`` and ``models/transformers/*.py`` (names and widths of the
layers); comfyanonymous/ComfyUI ``comfy/lora.py`` and ``comfy/model_detection.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from modelhub.formats.identify.adapters.families import short
from modelhub.formats.identify.adapters.naming import Modules, part_of, split
from modelhub.formats.identify.adapters.unet import (
    UNET_LEADS,
    Guess,
    by_number,
    by_text_encoders,
    text_encoder_of,
    unet_base,
)
from modelhub.formats.identity import Evidence

_LEAD = re.compile(r"[^\d]*")


class Base(NamedTuple):
    """What an adapter is for."""

    architecture: str | None
    edition: str | None
    variants: tuple[str, ...]
    text_encoders: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class Rule(NamedTuple):
    """One line of the table."""

    blocks: tuple[str, ...]
    """How the paths of the modules begin, up to the first number."""
    module: str
    """What has to be in a module's name, dots as underscores."""
    architecture: str
    widths: Mapping[int, str | None] | None = None
    """Input widths of that module, and the edition that each means; None: any."""
    certain: bool = True
    edition: str | None = None
    variant: str | None = None
    outputs: frozenset[int] | None = None
    """Output widths of that module; None: any."""


_FLUX = ("double_blocks_", "single_blocks_")
_DIT = ("transformer_blocks_", "single_transformer_blocks_")

_FLUX2 = {6144: "dev", 4096: "klein 9B"}
_WAN = {1536: "1.3B", 5120: "14B", 3072: "2.2 ti2v 5B"}
_WAN_I2V = {1536: "2.1 i2v 1.3B", 5120: "2.1 i2v 14B"}
_SD3 = {1536: None, 2432: "3.5 large"}

RULES: tuple[Rule, ...] = (
    # Of a module that only one architecture has, wherever it stands.
    Rule(_FLUX, "distilled_guidance_layer", "chroma"),
    Rule(_FLUX, "double_stream_modulation", "flux2"),
    Rule(_FLUX, "single_stream_modulation", "flux2"),
    Rule(_FLUX, "img_attn_proj", "flux2", _FLUX2),
    Rule(_FLUX, "img_attn_qkv", "flux2", _FLUX2),
    Rule(_FLUX, "linear1", "flux2", _FLUX2),
    # Klein 4B is as wide as Flux.1, but its feed-forward layers are gated.
    Rule(_FLUX, "img_mlp_0", "flux2", edition="klein 4B", outputs=frozenset({18432})),
    Rule(_FLUX, "linear1", "flux2", edition="klein 4B", outputs=frozenset({27648})),
    # HunyuanVideo has the blocks of Flux, with fc1 and fc2; HunyuanImage is 3584 wide.
    Rule(_FLUX, "img_attn_qkv", "hunyuanimage", {3584: None}),
    Rule(_FLUX, "img_attn_q_", "hunyuanvideo", {3072: None}),
    Rule(_FLUX, "img_mod_linear", "hunyuanvideo", {3072: None}),
    Rule(_FLUX, "img_mlp_fc1", "hunyuanvideo", {3072: None}),
    Rule(_FLUX, "txt_mlp_fc1", "hunyuanvideo", {3072: None}),
    Rule(_FLUX, "modulation_linear", "hunyuanvideo", {3072: None}),
    Rule(_FLUX, "individual_token_refiner", "hunyuanvideo"),
    Rule(_FLUX, "double_blocks_19_", "hunyuanvideo"),
    Rule(_FLUX, "single_blocks_38_", "hunyuanvideo"),
    # Black Forest Labs' LoRAs for control and for filling widen the first layer.
    Rule(_FLUX, "img_in", "flux", {128: "canny or depth"}, variant="control"),
    Rule(_FLUX, "img_in", "flux", {384: "fill"}, variant="inpainting"),
    Rule(_FLUX, "guidance_in", "flux", edition="dev"),
    # Chroma has no modulation layers in its blocks: where some are, it is Flux.
    Rule(_FLUX, "img_mod_lin", "flux", {3072: None}),
    Rule(_FLUX, "txt_mod_lin", "flux", {3072: None}),
    Rule(_FLUX, "modulation_lin", "flux", {3072: None}),
    Rule(_FLUX, "processor_qkv_lora", "flux"),
    Rule(_FLUX, "processor_proj_lora", "flux"),
    Rule(_FLUX, "blocks_", "flux", None, False),
    # diffusers' names.
    Rule(_DIT, "text_fusion", "krea2"),
    Rule(_DIT, "time_mod_proj", "krea2"),
    Rule(_DIT, "joint_transformer_blocks", "auraflow"),
    Rule(_DIT, "to_qkv_mlp_proj", "flux2", {6144: "dev", 4096: "klein 9B", 3072: "klein 4B"}),
    Rule(_DIT, "to_qkv_mlp_proj", "flux2"),
    Rule(_DIT, "ff_linear_in", "flux2", {6144: "dev", 4096: "klein 9B", 3072: "klein 4B"}),
    Rule(_DIT, "context_embedder_token_refiner", "hunyuanvideo"),
    Rule(_DIT, "single_transformer_blocks_38_", "hunyuanvideo"),
    Rule(_DIT, "x_embedder", "flux", {128: "canny or depth"}, variant="control"),
    Rule(_DIT, "x_embedder", "flux", {384: "fill"}, variant="inpainting"),
    Rule(_DIT, "single_transformer_blocks_", "flux"),
    Rule(_DIT, "img_mod_1", "qwen", {3072: None}),
    Rule(_DIT, "txt_mod_1", "qwen", {3072: None}),
    Rule(_DIT, "img_mlp_net", "qwen"),
    Rule(_DIT, "img_mlp_gate", "qwen", edition="2.1"),
    Rule(_DIT, "txt_in_in_layer", "qwen", edition="2.1"),
    Rule(_DIT, "txt_mlp_net", "qwen"),
    Rule(_DIT, "attn1_add_k_proj", "mochi"),
    Rule(_DIT, "attn2_add_k_proj", "wan"),
    Rule(_DIT, "attn2_to_q", "sd3", {1536: "3.5 medium"}),
    Rule(_DIT, "attn2_to_q", "pixart", {1152: None}),
    Rule(_DIT, "attn2_to_q", "ltxv", {4096: "13B"}),
    Rule(_DIT, "attn2_to_k", "cosmos", {1024: None}),
    Rule(_DIT, "attn2_to_q", "ltxv", {2048: "2B"}),
    Rule(_DIT, "attn2_to_q", "sana", {2240: None}),
    Rule(_DIT, "attn_to_q", "sd3", _SD3),
    Rule(_DIT, "attn_add_k_proj", "sd3", _SD3),
    Rule(_DIT, "ff_context", "sd3", _SD3),
    Rule(_DIT, "attn1_to_q", "ltxv", {4096: "13B", 2048: "2B"}),
    Rule(_DIT, "attn1_to_q", "cogvideox", {1920: "2B", 3072: "5B"}),
    Rule(_DIT, "attn1_to_q", "pixart", {1152: None}),
    Rule(_DIT, "attn_to_gate", "krea2"),
    Rule(_DIT, "ff_gate", "krea2"),
    Rule(_DIT, "attn_add_k_proj", "flux2", {6144: "dev", 4096: "klein 9B"}, False),
    Rule(_DIT, "attn_to_q", "krea2", {6144: None}, False),
    Rule(_DIT, "attn_to_q", "qwen", {4096: "2.1"}, False),
    Rule(_DIT, "attn_to_k", "qwen", {4096: "2.1"}, False),
    # Qwen-Image has 60 blocks, the double blocks of Flux are 19.
    Rule(_DIT, "transformer_blocks_19_", "qwen", None, False),
    Rule(_DIT, "ff_context", "flux", {3072: None}),
    Rule(_DIT, "attn_add_k_proj", "qwen", {3072: None}, False),
    Rule(_DIT, "attn_to_q", "qwen", {3072: None}, False),
    Rule(_DIT, "attn_to_k", "qwen", {3072: None}, False),
    # Stable Diffusion 3 and AuraFlow as first published.
    Rule(("joint_blocks_",), "x_block_attn2", "sd3", {1536: "3.5 medium"}),
    Rule(("joint_blocks_",), "x_block_attn_qkv", "sd3", _SD3),
    Rule(("joint_blocks_",), "joint_blocks_", "sd3"),
    Rule(("joint_transformer_blocks_",), "joint_transformer_blocks", "auraflow"),
    Rule(("double_layers_", "single_layers_"), "layers_", "auraflow"),
    Rule(
        ("double_stream_blocks_", "single_stream_blocks_"), "stream_blocks_", "hidream"
    ),
    # `blocks.N`: Wan, Cosmos and Anima, HunyuanDiT, PixArt, Mochi, Krea.
    Rule(("blocks_",), "txtfusion", "krea2"),
    Rule(("blocks_", "llm_adapter_blocks_"), "llm_adapter", "anima"),
    Rule(("blocks_",), "attn_wq", "krea2", {6144: None}),
    Rule(("blocks_",), "attn_wv", "krea2", {6144: None}),
    Rule(("blocks_",), "attn1_wqkv", "hunyuan"),
    Rule(("blocks_",), "attn1_Wqkv", "hunyuan"),
    Rule(("blocks_",), "attn2_kv_proj", "hunyuan"),
    Rule(("blocks_",), "cross_attn_kv_linear", "pixart"),
    Rule(("blocks_",), "cross_attn_q_linear", "pixart"),
    Rule(("blocks_",), "attn_qkv_x", "mochi"),
    Rule(("blocks_",), "self_attn_q_proj", "cosmos", {5120: "14B"}),
    Rule(("blocks_",), "attn_q_proj", "anima", {2048: None}, False),
    Rule(("blocks_",), "cross_attn_k_proj", "anima", None, False),
    Rule(("blocks_",), "adaln_modulation", "anima", {2048: None}, False),
    Rule(("blocks_",), "cross_attn_k_img", "wan", _WAN_I2V),
    Rule(("blocks_",), "attn2_add_k_proj", "wan", _WAN_I2V),
    Rule(("blocks_",), "self_attn_q", "wan", _WAN),
    Rule(("blocks_",), "self_attn_v", "wan", _WAN),
    Rule(("blocks_",), "cross_attn_q", "wan", _WAN),
    Rule(("blocks_",), "cross_attn_k", "wan", _WAN),
    Rule(("blocks_",), "attn1_to_q", "wan", _WAN),
    Rule(("blocks_",), "attn2_to_q", "wan", _WAN),
    Rule(("blocks_",), "ffn_0", "wan", _WAN),
    Rule(("blocks_",), "ffn_net_0_proj", "wan", _WAN),
    # `layers.N`: Z-Image and Lumina.
    Rule(("layers_", "noise_refiner_", "context_refiner_"), "attention_", "zimage", {3840: None}),
    Rule(("layers_", "noise_refiner_", "context_refiner_"), "attention_", "lumina", {2304: None}),
    Rule(("layers_", "noise_refiner_", "context_refiner_"), "feed_forward_w1", "zimage",
         {3840: None}),
    Rule(("layers_", "noise_refiner_", "context_refiner_"), "feed_forward_w1", "lumina",
         {2304: None}),
    # Stable Cascade numbers its blocks by stage and place.
    Rule(("down_blocks_", "up_blocks_"), "kv_mapper", "cascade"),
    Rule(("down_blocks_", "up_blocks_"), "attention_attn_", "cascade"),
    Rule(("down_", "up_"), "attention_attn_", "cascade"),
)  # fmt: skip


def base_of(modules: Modules) -> Base:
    """The architecture an adapter is for, as far as its tensors tell."""
    parts = modules.parts
    encoders = _text_encoders(modules, parts)
    evidence = [Evidence("parts", part, f"changes {short(name)}") for part, name in parts.items()]
    evidence += [Evidence("text_encoders", name, because) for name, because in encoders]
    if "unet" in parts:
        found = by_number(modules) or _by_blocks(modules) or by_text_encoders(modules)
    else:
        found = by_text_encoders(modules)
    names = tuple(dict.fromkeys(name for name, _ in encoders))
    if found is None:
        return Base(None, None, (), names, tuple(evidence))
    return Base(
        found.architecture, found.edition, found.variants, names, (*found.evidence, *evidence)
    )


def _by_blocks(modules: Modules) -> Guess | None:
    """What the unet or transformer tells, by the first of its blocks that is known."""
    lead = _lead_of(sample.stem for sample in modules.samples)
    if lead is None:
        lead = _lead_of(parts[0] for name in modules.names if (parts := split(name)))
    if lead in UNET_LEADS and (found := unet_base(modules)) is not None:
        return found
    return _by_rules(modules, _BY_LEAD.get(lead or "", ()))


def _lead_of(stems: Iterable[str]) -> str | None:
    """How the path of the first module begins that stands in a known block."""
    for stem in stems:
        _, part, path = part_of(stem)
        if part == "unet":
            lead = _LEAD.match(path)
            if lead is not None and lead[0] in _KNOWN_LEADS:
                return lead[0]
    return None


def _by_rules(modules: Modules, rules: Iterable[Rule]) -> Guess | None:
    for rule in rules:
        name = modules.find(rule.module)
        if name is None:
            continue
        width = modules.width(name) if rule.widths is not None else None
        if rule.widths is not None and width not in rule.widths:
            continue
        if rule.outputs is None or modules.out_width(name) in rule.outputs:
            return _told(rule, name, width)
    return None


def _told(rule: Rule, name: str, width: int | None) -> Guess:
    edition = rule.edition
    if rule.widths is not None and width is not None:
        edition = rule.widths[width]
    wide = "" if width is None else f", {width} wide"
    because = f"module {rule.module.strip('_')}{wide} ({short(name)})"
    evidence = [Evidence("architecture", rule.architecture, because, rule.certain)]
    if edition is not None:
        evidence.append(Evidence("edition", edition, because, rule.certain))
    variants = () if rule.variant is None else (rule.variant,)
    evidence += [Evidence("variants", variant, because) for variant in variants]
    return Guess(rule.architecture, edition, variants, tuple(evidence))


_BY_LEAD: dict[str, list[Rule]] = {}
for _rule in RULES:
    for _block in _rule.blocks:
        _BY_LEAD.setdefault(_block, []).append(_rule)
_KNOWN_LEADS = _BY_LEAD.keys() | UNET_LEADS


def _text_encoders(modules: Modules, parts: dict[str, str]) -> list[tuple[str, str]]:
    """The text encoders that are changed, and by what they are told."""
    found = []
    for part, name in sorted(parts.items()):
        if part != "unet" and (encoder := text_encoder_of(modules, name)):
            found.append((encoder, f"changes {short(name)}"))
    return found
