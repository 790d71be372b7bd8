"""Transformers that make video (and sound, and shapes), in the original layout and diffusers'."""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import COMFY, DIFFSYNTH, DIFFUSERS, DIFFUSERS_MODELS

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_REFINER = "txt_in.individual_token_refiner.blocks.0.norm1.weight"
_D_REFINER = "context_embedder.token_refiner.refiner_blocks.0.norm1.weight"
_WAN = "head.modulation"
_D_WAN = "condition_embedder.time_embedder.linear_1.weight"
_WAN_IN = "patch_embedding.weight"
_IMAGE = "img_emb.proj.0.bias"
_D_IMAGE = "condition_embedder.image_embedder.norm1.weight"
_LTX_TIME = "adaln_single.emb.timestep_embedder.linear_1.bias"
_COSMOS_IN = "x_embedder.proj.1.weight"

ARCHITECTURES: tuple[Rule, ...] = (
    Rule("hunyuanvideo", _REFINER, (), "a refiner of single tokens", COMFY, also=("img_in.proj.weight",)),
    Rule("hunyuanvideo", "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", (), "a refiner of single tokens", DIFFUSERS),
    Rule("hunyuanvideo", _D_REFINER, (), "a refiner of single tokens", DIFFUSERS_MODELS, also=("x_embedder.proj.weight",)),
    Rule("wan", _WAN, (), "blocks with a modulated head", COMFY, also=("blocks.0.self_attn.q.bias",) ),
    Rule("wan", _D_WAN, (), "blocks with a modulated head", DIFFUSERS_MODELS, also=("scale_shift_table", "blocks.0.attn2.to_k.bias")),
    Rule("mochi", "t5_yproj.weight", (), "projection of T5 for asymmetric attention", COMFY),
    Rule("mochi", "time_embed.pooler.to_kv.weight", (), "pooling of T5 for asymmetric attention", DIFFUSERS_MODELS),
    Rule("ltxv", _LTX_TIME, (), "one modulation, patches of video", COMFY, also=("patchify_proj.weight",)),
    Rule("ltxv", "time_embed.emb.timestep_embedder.linear_1.bias", (), "one modulation, patches of video", DIFFUSERS_MODELS, also=("proj_in.weight", "transformer_blocks.0.scale_shift_table")),
    Rule("cogview4", "time_condition_embed.timestep_embedder.linear_1.weight", (), "an embedding of time and sizes", DIFFUSERS_MODELS, also=("patch_embed.text_proj.weight",)),
    Rule("cogvideox", "transformer_blocks.0.norm1.linear.weight", (), "modulated norms, text in the patch embedding", DIFFUSERS_MODELS, also=("patch_embed.text_proj.weight",)),
    Rule("cogvideox", "blocks.0.norm1.linear.weight", (), "modulated norms, text in the patch embedding", COMFY, also=("patch_embed.text_proj.weight",)),
    Rule("cogvideox", "mixins.patch_embed.text_proj.weight", (), "text in the patch embedding", "zai-org/CogVideo sat/dit_video_concat.py"),
    Rule("cosmos", "blocks.block0.blocks.0.block.attn.to_q.0.weight", (), "blocks of blocks", COMFY ),
    Rule("cosmos", "blocks.0.mlp.layer1.weight", (), "blocks with a two-layer MLP", COMFY, also=(_COSMOS_IN,)),
    Rule("cosmos", "blocks.0.self_attn.q_proj.weight", (), "blocks with separate projections", DIFFUSERS, also=(_COSMOS_IN,)),
    Rule("cosmos", "transformer_blocks.0.norm1.linear_1.weight", (), "norms modulated in two steps", DIFFUSERS_MODELS, also=("patch_embed.proj.weight",)),
    Rule("kandinsky5", "visual_transformer_blocks.0.cross_attention.key_norm.weight", (), "visual blocks with cross-attention", COMFY),
    Rule("hunyuan3d", "latent_in.weight", (), "a latent of shapes", COMFY, also=("cond_in.weight",) ),
    Rule("hunyuan3d", "blocks.0.attn1.k_norm.weight", (), "a latent of shapes", COMFY, also=("t_embedder.mlp.2.weight",)),
    Rule("stableaudio", "transformer.rotary_pos_emb.inv_freq", (), "rotary positions and a preprocessing convolution", COMFY, also=("preprocess_conv.weight",)),
    Rule("acestep", "genre_embedder.weight", (), "an embedding of the genre", COMFY),
    Rule("acestep", "encoder.lyric_encoder.layers.0.input_layernorm.weight", (), "an encoder of lyrics", COMFY),
)
"""Which architecture; the first line that holds."""

EDITIONS: dict[str, tuple[Rule, ...]] = {
    "hunyuanvideo": (
        Rule("1.5", "cond_type_embedding.weight", (), "an embedding of the kind of condition", COMFY ),
        Rule("1.5", "vision_in.proj.0.weight", (), "projection of an image encoder", COMFY),
        Rule("1.5", "cond_type_embed.weight", (), "an embedding of the kind of condition", DIFFUSERS_MODELS),
        Rule("framepack", "clean_x_embedder.proj.weight", (), "patches of clean frames", DIFFUSERS_MODELS),
        Rule("i2v", "img_in.proj.weight", (ANY, 33), "33 input channels: video, image and mask", COMFY),
        Rule("i2v", "x_embedder.proj.weight", (ANY, 33), "33 input channels: video, image and mask", DIFFUSERS_MODELS),
        Rule("skyreels i2v", "img_in.proj.weight", (ANY, 32), "32 input channels: video and image", COMFY),
    ),
    "wan": (
        Rule("vace 1.3B", "vace_patch_embedding.weight", (1536,), "patches of a control video, width 1536", COMFY),
        Rule("vace 14B", "vace_patch_embedding.weight", (), "patches of a control video", COMFY),
        Rule("2.2 s2v 14B", "casual_audio_encoder.encoder.final_linear.weight", (), "an encoder of sound", COMFY),
        Rule("2.2 animate 14B", "face_adapter.fuser_blocks.0.k_norm.weight", (), "an adapter of faces", COMFY),
        Rule("2.2 animate 14B", "motion_encoder.dec.direction.weight", (), "an encoder of motion", DIFFUSERS),
        Rule("humo", "audio_proj.audio_proj_glob_1.layer.bias", (), "projection of sound", COMFY),
        Rule("fun camera", "control_adapter.conv.weight", (), "an adapter of camera paths", COMFY),
        Rule("2.1 fun control 1.3B", _WAN_IN, (1536, 48), "48 input channels: video, control and image", DIFFSYNTH),
        Rule("2.1 fun control 14B", _WAN_IN, (5120, 48), "48 input channels: video, control and image", DIFFSYNTH),
        Rule("2.2 fun control 14B", _WAN_IN, (5120, 52), "52 input channels: video, control, image and mask", DIFFSYNTH),
        Rule("2.1 flf2v 14B", "img_emb.emb_pos", (), "positions of first and last frame", COMFY),
        Rule("2.1 i2v 14B", _IMAGE, (), "projection of an image encoder", COMFY, also=("blocks.39.ffn.0.weight",)),
        Rule("2.1 i2v 14B", _D_IMAGE, (), "projection of an image encoder", DIFFUSERS_MODELS, also=("blocks.39.ffn.net.2.weight",)),
        Rule("2.1 i2v 1.3B", _IMAGE, (), "projection of an image encoder", COMFY),
        Rule("2.2 ti2v 5B", _WAN_IN, (3072, 48), "48 input channels, width 3072", COMFY),
        Rule("2.2 i2v 14B", _WAN_IN, (5120, 36), "36 input channels, no image encoder", COMFY),
        Rule("2.1 t2v 1.3B", _WAN_IN, (1536, 16), "16 input channels, width 1536", COMFY),
        Rule("t2v 14B", _WAN_IN, (5120, 16), "16 input channels, width 5120; 2.1 and 2.2 alike", COMFY),
        Rule("2.2 ti2v 5B", "patch_embedding.bias", (3072,), "width 3072", COMFY),
        Rule("1.3B", "patch_embedding.bias", (1536,), "width 1536", COMFY),
        Rule("14B", "patch_embedding.bias", (5120,), "width 5120", COMFY),
    ),
    "ltxv": (
        Rule("2", "audio_adaln_single.linear.weight", (), "modulation of sound", COMFY),
        Rule("2", "audio_time_embed.linear.weight", (), "modulation of sound", DIFFUSERS_MODELS),
        Rule("13B", "patchify_proj.bias", (4096,), "width 4096", DIFFUSERS),
        Rule("13B", "proj_in.bias", (4096,), "width 4096", DIFFUSERS_MODELS),
        Rule("2B", "patchify_proj.bias", (2048,), "width 2048", DIFFUSERS),
        Rule("2B", "proj_in.bias", (2048,), "width 2048", DIFFUSERS_MODELS),
    ),
    "cogvideox": (
        Rule("1.5 5B", "patch_embed.proj.weight", (3072, 256), "patches of two frames", COMFY),
        Rule("1.5 5B", "patch_embed.proj.weight", (3072, 128), "patches of two frames", COMFY),
        Rule("5B i2v", "patch_embed.proj.weight", (3072, 32), "32 input channels: video and image", COMFY),
        Rule("2B", "patch_embed.text_proj.bias", (1920,), "width 1920", COMFY),
        Rule("5B", "patch_embed.text_proj.bias", (3072,), "width 3072", COMFY),
    ),
    "cosmos": (
        Rule("1.0 7B t2v", _COSMOS_IN, (4096, 68), "width 4096, 17 input channels", DIFFUSERS),
        Rule("1.0 14B t2v", _COSMOS_IN, (5120, 68), "width 5120, 17 input channels", DIFFUSERS, also=("blocks.block0.blocks.0.block.attn.to_q.0.weight",)),
        Rule("1.0 7B v2v", _COSMOS_IN, (4096, 72), "width 4096, 18 input channels", DIFFUSERS),
        Rule("1.0 14B v2v", _COSMOS_IN, (5120, 72), "width 5120, 18 input channels", DIFFUSERS, also=("blocks.block0.blocks.0.block.attn.to_q.0.weight",)),
        Rule("predict2 2B t2i", _COSMOS_IN, (2048, 68), "width 2048, 17 input channels", DIFFUSERS),
        Rule("predict2 14B t2i", _COSMOS_IN, (5120, 68), "width 5120, 17 input channels", DIFFUSERS ),
        Rule("predict2 2B v2v", _COSMOS_IN, (2048, 72), "width 2048, 18 input channels", DIFFUSERS),
        Rule("predict2 14B v2v", _COSMOS_IN, (5120, 72), "width 5120, 18 input channels", DIFFUSERS ),
    ),
    "acestep": (
        Rule("1.5", "encoder.lyric_encoder.layers.0.input_layernorm.weight", (), "an encoder of lyrics", COMFY),
    ),
}
"""Which model of the architecture; the first line that holds."""
