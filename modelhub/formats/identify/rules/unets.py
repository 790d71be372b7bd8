"""UNets: Stable Diffusion 1, 2, XL and what was made of them, in both layouts of keys.

The original layout (``input_blocks.``) and that of diffusers (``down_blocks.``) each have their
lines. What a line needs besides its key is in the columns behind it.
"""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import (
    COMFY,
    COMFY_MODELS,
    DIFFUSERS,
    DIFFUSERS_MODELS,
    GLIGEN,
    LCM,
    TOOLKIT,
)

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_FIRST = "input_blocks.0.0.weight"
_WIDTH = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_DEEP = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
_KOALA = "input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight"
_UPSCALER = "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight"
_SEVENTH = "input_blocks.7.1.transformer_blocks.{}.attn1.to_k.weight"
_TIME = "input_blocks.1.1.time_stack.0.attn1.to_q.weight"
_LABEL = "label_emb.0.0.weight"

_D_FIRST = "conv_in.weight"
_D_WIDTH = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
_D_DEEP = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
_D_SECOND = "down_blocks.2.attentions.0.transformer_blocks.{}.attn1.to_k.weight"
_D_TIME = "down_blocks.0.attentions.0.temporal_transformer_blocks.0.attn1.to_q.weight"
_D_LABEL = "add_embedding.linear_1.weight"

ARCHITECTURES: tuple[Rule, ...] = (
    Rule("svd", _TIME, (), "temporal layers in a UNet", COMFY, also=(_FIRST,)),
    Rule("svd", _D_TIME, (), "temporal layers in a UNet", DIFFUSERS_MODELS, also=(_D_FIRST,)),
    Rule("kolors", _LABEL, (ANY, 5632), "vector condition of 5632", COMFY_MODELS),
    Rule("kolors", "encoder_hid_proj.weight", (2048, 4096), "text projection from 4096 to 2048", DIFFUSERS_MODELS, also=(_D_FIRST,)),
    Rule("sd1", _WIDTH, (ANY, 768), "cross-attention width 768", COMFY, also=(_FIRST,)),
    Rule("sd1", _D_WIDTH, (ANY, 768), "cross-attention width 768", COMFY, also=(_D_FIRST,)),
    Rule("sd2", _WIDTH, (ANY, 1024), "cross-attention width 1024", COMFY, also=(_FIRST,)),
    Rule("sd2", _D_WIDTH, (ANY, 1024), "cross-attention width 1024", COMFY, also=(_D_FIRST,)),
    Rule("sdxl", _DEEP, (ANY, 2048), "cross-attention width 2048", COMFY, also=(_FIRST,), without=(_WIDTH,)),
    Rule("sdxl", _KOALA, (ANY, 2048), "cross-attention width 2048", COMFY_MODELS, also=(_FIRST,), without=(_WIDTH,)),
    Rule("sdxl", _D_DEEP, (ANY, 2048), "cross-attention width 2048", COMFY, also=(_D_FIRST,), without=(_D_WIDTH,)),
    Rule("sdxl", _DEEP, (ANY, 1280), "cross-attention width 1280", COMFY, also=(_FIRST,), without=(_WIDTH,)),
    Rule("sdxl", _D_DEEP, (ANY, 1280), "cross-attention width 1280", COMFY, also=(_D_FIRST,), without=(_D_WIDTH,)),
    Rule("sd2", _UPSCALER, (ANY, 1024), "cross-attention width 1024", DIFFUSERS, also=(_FIRST,)),
    Rule("sd2", _D_DEEP, (ANY, 1024), "cross-attention width 1024", DIFFUSERS_MODELS, also=(_D_FIRST,)),
    # Packed weights (bitsandbytes, GGUF of older writers) have lost their widths: by what is left.
    Rule("sdxl", "input_blocks.8.1.transformer_blocks.9.norm1.weight", (1280,), "10 transformer layers in block 8", COMFY_MODELS, also=(_FIRST, "label_emb.0.0.bias")),
    Rule("sdxl", "down_blocks.2.attentions.1.transformer_blocks.9.norm1.weight", (1280,), "10 transformer layers in block 2", COMFY, also=(_D_FIRST,)),
)
"""Which architecture; the first line that holds."""

EMA_COPIES: tuple[Rule, ...] = (
    Rule("sd1", "input_blocks11transformer_blocks0attn2to_kweight", (ANY, 768), "cross-attention width 768 of an EMA copy", TOOLKIT),
    Rule("sd2", "input_blocks11transformer_blocks0attn2to_kweight", (ANY, 1024), "cross-attention width 1024 of an EMA copy", TOOLKIT),
)
"""Which architecture, where there is only the EMA copy, whose names have lost their dots."""

EDITIONS: dict[str, tuple[Rule, ...]] = {
    "sdxl": (
        Rule("refiner", _LABEL, (ANY, 2560), "vector condition of 2560", COMFY),
        Rule("refiner", _D_LABEL, (ANY, 2560), "vector condition of 2560", COMFY),
        Rule("refiner", _DEEP, (ANY, 1280), "cross-attention width 1280", COMFY),
        Rule("koala-700m", "input_blocks.5.1.transformer_blocks.4.attn1.to_k.weight", (), "1 block a level, 5 transformer layers", COMFY_MODELS, without=("input_blocks.5.1.transformer_blocks.5.attn1.to_k.weight", _DEEP)),
        Rule("koala-1b", "input_blocks.5.1.transformer_blocks.5.attn1.to_k.weight", (), "1 block a level, 6 transformer layers", COMFY_MODELS, without=(_DEEP,)),
        Rule("koala-700m", _D_SECOND.format(4), (), "1 block a level, 5 transformer layers", COMFY_MODELS, without=(_D_SECOND.format(5), "down_blocks.2.attentions.1.norm.weight")),
        Rule("koala-1b", _D_SECOND.format(5), (), "1 block a level, 6 transformer layers", COMFY_MODELS, without=("down_blocks.2.attentions.1.norm.weight",)),
        Rule("ssd-1b", _SEVENTH.format(3), (), "4 transformer layers in block 7", COMFY_MODELS, without=(_SEVENTH.format(4),)),
        Rule("ssd-1b", _D_SECOND.format(3), (), "4 transformer layers in block 2", COMFY_MODELS, without=(_D_SECOND.format(4),)),
        Rule("segmind-vega", _SEVENTH.format(1), (), "2 transformer layers in block 7", COMFY_MODELS, without=(_SEVENTH.format(2),)),
        Rule("segmind-vega", _D_SECOND.format(1), (), "2 transformer layers in block 2", COMFY_MODELS, without=(_D_SECOND.format(2),)),
        Rule("base", _LABEL, (ANY, 2816), "vector condition of 2816", COMFY),
        Rule("base", _D_LABEL, (ANY, 2816), "vector condition of 2816", COMFY),
        Rule("base", _DEEP, (ANY, 2048), "cross-attention width 2048", COMFY),
        Rule("base", _D_DEEP, (ANY, 2048), "cross-attention width 2048", COMFY),
    ),
}
"""Which model of the architecture; the first line that holds."""

MARKED_EDITIONS: dict[str, tuple[Rule, ...]] = {
    "sdxl": (
        Rule("playground v2.5", "edm_mean", (), "a mean of EDM's latents", DIFFUSERS, also=("edm_std",)),
        Rule("cosxl", "edm_vpred.sigma_max", (), "a schedule of EDM with v-prediction", COMFY_MODELS),
    ),
}
"""Which model, by a tensor beside the parts of a checkpoint; asked before the others."""

VARIANTS: tuple[Rule, ...] = (
    Rule("inpainting", _FIRST, (ANY, 9), "9 input channels", TOOLKIT),
    Rule("inpainting", _D_FIRST, (ANY, 9), "9 input channels", DIFFUSERS),
    Rule("instruct-pix2pix", _FIRST, (ANY, 8), "8 input channels", TOOLKIT),
    Rule("instruct-pix2pix", _D_FIRST, (ANY, 8), "8 input channels", DIFFUSERS),
    Rule("depth", _FIRST, (ANY, 5), "5 input channels", TOOLKIT),
    Rule("depth", _D_FIRST, (ANY, 5), "5 input channels", DIFFUSERS),
    Rule("x4-upscaler", _FIRST, (ANY, 7), "7 input channels", DIFFUSERS),
    Rule("x4-upscaler", _D_FIRST, (ANY, 7), "7 input channels", DIFFUSERS),
    Rule("unclip", _LABEL, (ANY, 2048), "image condition of 2048", COMFY_MODELS, without=("input_blocks.7.1.transformer_blocks.1.norm1.weight",)),
    Rule("unclip", _LABEL, (ANY, 1536), "image condition of 1536", COMFY_MODELS),
    Rule("unclip", "class_embedding.linear_1.weight", (ANY, 2048), "image condition of 2048", COMFY ),
    Rule("unclip", "class_embedding.linear_1.weight", (ANY, 1536), "image condition of 1536", COMFY ),
    Rule("inpainting", "input_blocks00weight", (ANY, 9), "9 input channels", TOOLKIT),
    Rule("instruct-pix2pix", "input_blocks00weight", (ANY, 8), "8 input channels", TOOLKIT),
    Rule("lcm", "time_embed.cond_proj.weight", (), "guidance embedding", LCM),
    Rule("lcm", "time_embedding.cond_proj.weight", (), "guidance embedding", DIFFUSERS_MODELS),
    Rule("gligen", "input_blocks.1.1.transformer_blocks.0.fuser.attn.to_k.weight", (), "gated attention to positions", GLIGEN),
    Rule("gligen", "down_blocks.0.attentions.0.transformer_blocks.0.fuser.attn.to_k.weight", (), "gated attention to positions", DIFFUSERS_MODELS),
)
"""What was changed in the UNet; every line that holds."""

MARKS: tuple[Rule, ...] = (
    Rule("v-prediction", "v_pred", (), "an empty tensor says so", COMFY_MODELS),
    Rule("zero-terminal-snr", "ztsnr", (), "an empty tensor says so", COMFY_MODELS),
    Rule("v-prediction", "edm_vpred.sigma_max", (), "a schedule of EDM with v-prediction", COMFY_MODELS),
    Rule("edm", "edm_vpred.sigma_max", (), "a schedule of EDM", COMFY_MODELS),
    Rule("edm", "edm_mean", (), "a schedule of EDM", DIFFUSERS, also=("edm_std",)),
)
"""Tensors beside the parts of a checkpoint that say how it was trained; every line that holds."""
