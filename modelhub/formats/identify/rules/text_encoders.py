"""Text encoders, by the layout of their keys, their width and what only they have.

Widths are read from norms and biases where there are some: those are never quantised.
"""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import (
    COMFY_SD,
    LLAMA_CPP,
    OPEN_CLIP,
    TOOLKIT,
    TRANSFORMERS,
    WAN,
)

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_CLIP = "encoder.layers.0.layer_norm1.weight"
_CLIP_IN = "embeddings.token_embedding.weight"
_OPEN = "transformer.resblocks.0.ln_1.weight"
_OPEN_IN = "token_embedding.weight"
_T5 = "encoder.final_layer_norm.weight"
_T5_BLOCK = "encoder.block.0.layer.0.SelfAttention.k.weight"
_T5_BIAS = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
_T5_VOCABULARY = "shared.weight"
_G_T5 = "enc.output_norm.weight"
_G_T5_BIAS = "enc.blk.1.attn_rel_b.weight"
_NORM = "layers.0.post_attention_layernorm.weight"
_K = "layers.0.self_attn.k_proj.weight"
_K_BIAS = "layers.0.self_attn.k_proj.bias"
_Q_NORM = "layers.0.self_attn.q_norm.weight"
_AFTER = "layers.0.post_feedforward_layernorm.weight"
_IN = "embed_tokens.weight"
_G_NORM = "blk.0.attn_norm.weight"
_G_Q_NORM = "blk.0.attn_q_norm.weight"
_G_K_BIAS = "blk.0.attn_k.bias"
_G_AFTER = "blk.0.post_ffw_norm.weight"

TEXT_ENCODERS: tuple[Rule, ...] = (
    Rule("CLIP-L", _CLIP, (768,), "CLIP of width 768", TOOLKIT, also=(_CLIP_IN,)),
    Rule("OpenCLIP-H", _CLIP, (1024,), "CLIP of width 1024", COMFY_SD, also=(_CLIP_IN,)),
    Rule("OpenCLIP-bigG", _CLIP, (1280,), "CLIP of width 1280", COMFY_SD, also=(_CLIP_IN,)),
    Rule("CLIP-L", _OPEN, (768,), "CLIP of width 768", OPEN_CLIP, also=(_OPEN_IN,)),
    Rule("OpenCLIP-H", _OPEN, (1024,), "CLIP of width 1024", TOOLKIT, also=(_OPEN_IN,)),
    Rule("OpenCLIP-bigG", _OPEN, (1280,), "CLIP of width 1280", TOOLKIT, also=(_OPEN_IN,)),
    Rule("T5-11B", "encoder.block.23.layer.1.DenseReluDense.wi.weight", (), "24 blocks with an ungated MLP", COMFY_SD, also=(_T5_BLOCK,)),
    Rule("UMT5-XXL", _T5, (4096,), "T5 of width 4096, positions in each block", COMFY_SD, also=(_T5_BIAS,)),
    Rule("T5-XXL", _T5, (4096,), "T5 of width 4096", COMFY_SD, also=(_T5_BLOCK,)),
    Rule("mT5-XL", _T5_VOCABULARY, (250112, 2048), "T5 of width 2048, 250112 tokens", TRANSFORMERS, also=(_T5,)),
    Rule("Pile-T5-XL", _T5, (2048,), "T5 of width 2048", COMFY_SD, also=(_T5_BLOCK,)),
    Rule("ByT5-small", _T5, (1472,), "T5 of width 1472", COMFY_SD, also=(_T5_BLOCK,)),
    Rule("T5-large", _T5, (1024,), "T5 of width 1024", TRANSFORMERS, also=(_T5_BLOCK,)),
    Rule("UMT5-base", _T5, (768,), "T5 of width 768, positions in each block", COMFY_SD, also=(_T5_BIAS,)),
    Rule("T5-base", _T5, (768,), "T5 of width 768", COMFY_SD, also=(_T5_BLOCK,)),
    Rule("T5-small", _T5, (512,), "T5 of width 512", TRANSFORMERS, also=(_T5_BLOCK,)),
    Rule("T5-XXL", _T5_BLOCK, (4096, 4096), "T5 of width 4096", COMFY_SD),
    Rule("UMT5-XXL", "blocks.0.pos_embedding.embedding.weight", (), "T5 with positions in each block", WAN, also=("token_embedding.weight", "blocks.0.attn.q.weight")),
    Rule("UMT5-XXL", _G_T5, (4096,), "T5 of width 4096, positions in each block", LLAMA_CPP, also=(_G_T5_BIAS,)),
    Rule("T5-XXL", _G_T5, (4096,), "T5 of width 4096", LLAMA_CPP),
    Rule("Pile-T5-XL", _G_T5, (2048,), "T5 of width 2048", LLAMA_CPP),
    Rule("Gemma-3-12B", _AFTER, (3840,), "Gemma of width 3840", COMFY_SD, also=(_Q_NORM,)),
    Rule("Gemma-3-4B", _AFTER, (2560,), "Gemma of width 2560", COMFY_SD, also=(_Q_NORM,)),
    Rule("Gemma-3-1B", _AFTER, (1152,), "Gemma of width 1152", TRANSFORMERS, also=(_Q_NORM,)),
    Rule("Gemma-2-2B", _AFTER, (2304,), "Gemma of width 2304", COMFY_SD),
    Rule("Gemma-2-9B", _AFTER, (3584,), "Gemma of width 3584", TRANSFORMERS),
    Rule("GPT-OSS-20B", "layers.0.self_attn.sinks", (), "attention sinks and experts", COMFY_SD),
    Rule("Qwen2.5-VL-7B", "model.layers.0.self_attn.k_proj.bias", (512,), "Qwen with keys of 512, and a vision tower", COMFY_SD, also=("visual.patch_embed.proj.weight",)),
    Rule("Qwen2.5-VL-3B", "model.layers.0.self_attn.k_proj.bias", (256,), "Qwen with keys of 256, and a vision tower", COMFY_SD, also=("visual.patch_embed.proj.weight",)),
    Rule("Qwen2.5-VL-7B", "model.language_model.layers.0.self_attn.k_proj.bias", (512,), "Qwen with keys of 512, and a vision tower", TRANSFORMERS, also=("model.visual.patch_embed.proj.weight",)),
    Rule("Qwen2.5-VL-3B", "model.language_model.layers.0.self_attn.k_proj.bias", (256,), "Qwen with keys of 256, and a vision tower", TRANSFORMERS, also=("model.visual.patch_embed.proj.weight",)),
    Rule("Qwen2.5-7B", _K_BIAS, (512,), "Qwen with keys of 512", COMFY_SD),
    Rule("Qwen2.5-3B", _NORM, (2048,), "Qwen of width 2048", COMFY_SD, also=(_K_BIAS,)),
    Rule("Qwen2.5-1.5B", _NORM, (1536,), "Qwen of width 1536", TRANSFORMERS, also=(_K_BIAS,)),
    Rule("Qwen2.5-0.5B", _NORM, (896,), "Qwen of width 896", TRANSFORMERS, also=(_K_BIAS,)),
    Rule("Qwen3-VL-4B", "model.visual.merger.linear_fc2.weight", (2560,), "Qwen with stacked visual features, width 2560", COMFY_SD, also=("model.visual.deepstack_merger_list.0.norm.weight",)),
    Rule("Qwen3-VL-8B", "model.visual.merger.linear_fc2.weight", (4096,), "Qwen with stacked visual features, width 4096", COMFY_SD, also=("model.visual.deepstack_merger_list.0.norm.weight",)),
    Rule("Qwen3-8B", _NORM, (4096,), "Qwen of width 4096 with normed queries", COMFY_SD, also=(_Q_NORM,)),
    Rule("Qwen3-4B", _NORM, (2560,), "Qwen of width 2560 with normed queries", COMFY_SD, also=(_Q_NORM,)),
    Rule("Qwen3-1.7B", _NORM, (2048,), "Qwen of width 2048 with normed queries", COMFY_SD, also=(_Q_NORM,)),
    Rule("Qwen3-0.6B", _NORM, (1024,), "Qwen of width 1024 with normed queries", COMFY_SD, also=(_Q_NORM,)),
    Rule("Mistral-Small-24B", _NORM, (5120,), "Mistral of width 5120", COMFY_SD, also=(_K,)),
    Rule("Ministral-3B", _NORM, (3072,), "Mistral of width 3072", COMFY_SD, also=(_K,)),
    Rule("LLaVA-Llama-3-8B", _IN, (128320, 4096), "Llama of width 4096, 128320 tokens", "Kijai/ComfyUI-HunyuanVideoWrapper README", also=(_NORM,)),
    Rule("Llama-3-8B", _IN, (128256, 4096), "Llama of width 4096, 128256 tokens", COMFY_SD, also=(_NORM,)),
    Rule("Llama-3-8B", _K, (1024, 4096), "Llama of width 4096 with grouped keys", COMFY_SD, also=(_NORM,)),
    Rule("ChatGLM3-6B", "encoder.layers.0.self_attention.query_key_value.bias", (), "ChatGLM's fused queries", "Kwai-Kolors/Kolors kolors/models/modeling_chatglm.py"),
    Rule("Jina-CLIP-2", "encoder.layers.0.mixer.Wqkv.weight", (), "mixers of Jina", COMFY_SD),
    Rule("XLM-RoBERTa", "roberta.embeddings.word_embeddings.weight", (), "RoBERTa", "FlagAI-Open/FlagAI examples/AltDiffusion"),
    Rule("Chinese-CLIP-L", "embeddings.word_embeddings.weight", (47020, 1024), "BERT of width 1024, 47020 tokens", TRANSFORMERS),
    Rule("BERT", "embeddings.word_embeddings.weight", (), "BERT", TRANSFORMERS, also=("encoder.layer.0.attention.self.query.weight",)),
    Rule("Gemma-3-12B", _G_NORM, (3840,), "Gemma of width 3840", LLAMA_CPP, also=(_G_AFTER,)),
    Rule("Gemma-3-4B", _G_NORM, (2560,), "Gemma of width 2560", LLAMA_CPP, also=(_G_AFTER,)),
    Rule("Gemma-2-2B", _G_NORM, (2304,), "Gemma of width 2304", LLAMA_CPP, also=(_G_AFTER,)),
    Rule("Qwen2.5-VL-7B", _G_K_BIAS, (512,), "Qwen with keys of 512", LLAMA_CPP),
    Rule("Qwen2.5-VL-3B", _G_K_BIAS, (256,), "Qwen with keys of 256", LLAMA_CPP),
    Rule("Qwen3-8B", _G_NORM, (4096,), "Qwen of width 4096 with normed queries", LLAMA_CPP, also=(_G_Q_NORM,)),
    Rule("Qwen3-4B", _G_NORM, (2560,), "Qwen of width 2560 with normed queries", LLAMA_CPP, also=(_G_Q_NORM,)),
    Rule("Qwen3-1.7B", _G_NORM, (2048,), "Qwen of width 2048 with normed queries", LLAMA_CPP, also=(_G_Q_NORM,)),
    Rule("Qwen3-0.6B", _G_NORM, (1024,), "Qwen of width 1024 with normed queries", LLAMA_CPP, also=(_G_Q_NORM,)),
    Rule("Mistral-Small-24B", _G_NORM, (5120,), "Mistral of width 5120", LLAMA_CPP),
    Rule("Llama-3-8B", _G_NORM, (4096,), "Llama of width 4096", LLAMA_CPP, also=("blk.0.ffn_gate.weight",)),
    Rule("CLIP", _CLIP_IN, (), "CLIP of an unknown width", COMFY_SD, also=(_CLIP,), without=("head.weight",)),
    Rule("T5", _T5_BLOCK, (), "T5 of an unknown width", COMFY_SD, also=(_T5,)),
    Rule("a language model", _NORM, (ANY,), "layers of a language model", TRANSFORMERS, also=(_K,)),
    Rule("a language model", _G_NORM, (ANY,), "layers of a language model", LLAMA_CPP, also=("blk.0.ffn_gate.weight",)),
)
"""Which text encoder; the first line that holds."""

WRAPPERS: tuple[str, ...] = (
    "",
    "transformer.text_model.",
    "transformer.",
    "text_model.",
    "model.",
    "transformer.model.",
    "model.language_model.",
    "language_model.model.",
    "model.transformer.",
)
"""What may stand between the prefix of a part and the names in the table."""
