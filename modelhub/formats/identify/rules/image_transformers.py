"""Transformers that make images: SD 3, Flux and their kin, in the original layout and diffusers'.

Order matters where one architecture has another's blocks: Hunyuan Video and Chroma before Flux.
"""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import COMFY, DIFFUSERS, DIFFUSERS_MODELS, NUNCHAKU

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_SD3 = "joint_blocks.0.context_block.attn.qkv.weight"
_D_SD3 = "transformer_blocks.0.norm1_context.linear.weight"
_FLUX = "double_blocks.0.img_attn.norm.key_norm.scale"
_D_FLUX = "single_transformer_blocks.0.proj_mlp.weight"
_CHROMA = "distilled_guidance_layer.in_proj.weight"
_PIXART = "adaln_single.emb.timestep_embedder.linear_1.bias"
_REFINER = "txt_in.individual_token_refiner.blocks.0.norm1.weight"

_SANA = "NVlabs/Sana diffusion/model/nets"

ARCHITECTURES: tuple[Rule, ...] = (
    Rule("sd3", _SD3, (), "joint attention blocks", COMFY),
    Rule("sd3", "joint_blocks.0.context_block.adaLN_modulation.1.bias", (), "joint attention blocks", DIFFUSERS),
    Rule("sd3", "pos_embed.pos_embed", (), "joint attention blocks and a position table", DIFFUSERS_MODELS, also=("context_embedder.bias", _D_SD3)),
    Rule("cascade", "clip_txt_mapper.weight", (), "projections of CLIP for text", COMFY, also=("clf.1.weight",)),
    Rule("cascade", "clip_mapper.weight", (), "projection of CLIP for stage B", COMFY, also=("clf.1.weight",)),
    Rule("cascade", "clip_txt_pooled_mapper.weight", (), "projection of pooled CLIP", DIFFUSERS_MODELS, also=("clf.1.weight",)),
    Rule("auraflow", "double_layers.0.attn.w1q.weight", (), "double layers with w1q", COMFY),
    Rule("auraflow", "joint_transformer_blocks.0.attn.add_q_proj.weight", (), "joint blocks and register tokens", DIFFUSERS_MODELS, also=("register_tokens",)),
    Rule("hunyuan", "mlp_t5.0.weight", (), "projection of T5 beside CLIP", COMFY),
    Rule("hunyuan", "text_embedding_padding", (), "padding of two text embeddings", DIFFUSERS_MODELS, also=("time_extra_emb.extra_embedder.linear_1.weight",)),
    Rule("hunyuanimage", "img_in.proj.weight", (ANY, 64, 1, 1), "64 latent channels in patches of 1", COMFY, also=(_REFINER,)),
    Rule("hunyuanimage", "x_embedder.proj.weight", (ANY, 64, 1, 1), "64 latent channels in patches of 1", DIFFUSERS_MODELS, also=("context_embedder.token_refiner.refiner_blocks.0.norm1.weight",)),
    Rule("chroma", _CHROMA, (), "a distilled guidance layer", DIFFUSERS),
    Rule("chroma", "distilled_guidance_layer.in_proj.bias", (), "a distilled guidance layer", DIFFUSERS),
    Rule("flux2", "double_stream_modulation_img.lin.weight", (), "one modulation for all double blocks", COMFY),
    Rule("flux2", "double_stream_modulation_img.linear.weight", (), "one modulation for all double blocks", DIFFUSERS_MODELS),
    Rule("ovis", "double_blocks.0.img_mlp.gate_proj.weight", (), "Flux's blocks with gated MLPs", COMFY, also=("img_in.weight",)),
    Rule("longcat", "txt_in.weight", (ANY, 3584), "Flux's blocks with text of width 3584", COMFY, also=(_FLUX,), without=("vector_in.in_layer.weight",)),
    Rule("ovis", "context_embedder_norm.weight", (), "Flux's blocks with normed text", DIFFUSERS_MODELS, also=("single_transformer_blocks.0.norm.linear.bias",)),
    Rule("longcat", "context_embedder.weight", (ANY, 3584), "Flux's blocks with text of width 3584", DIFFUSERS_MODELS, also=("single_transformer_blocks.0.norm.linear.bias", "time_embed.timestep_embedder.linear_1.bias")),
    Rule("flux", _FLUX, (), "double and single blocks", COMFY, also=("img_in.weight",)),
    Rule("flux", "double_blocks.0.img_attn.norm.key_norm.weight", (), "double and single blocks", COMFY, also=("img_in.weight",)),
    Rule("flux", _D_FLUX, (), "double and single blocks", DIFFUSERS_MODELS, also=("x_embedder.weight", "time_text_embed.text_embedder.linear_1.bias")),
    Rule("flux", "single_transformer_blocks.0.mlp_fc1.qweight", (), "double and single blocks, SVDQuant", NUNCHAKU),
    Rule("flux", "single_transformer_blocks.0.norm.linear.bias", (), "double and single blocks", DIFFUSERS_MODELS, also=("context_embedder.bias", "x_embedder.bias", "time_text_embed.timestep_embedder.linear_1.bias")),
    Rule("sana", "blocks.0.mlp.inverted_conv.conv.weight", (), "convolutions in place of MLPs", _SANA, also=("attention_y_norm.weight",)),
    Rule("sana", "transformer_blocks.0.ff.conv_inverted.weight", (), "convolutions in place of MLPs", DIFFUSERS_MODELS, also=("caption_norm.weight",)),
    Rule("pixart", "t_block.1.weight", (), "one modulation for all blocks", COMFY, also=("y_embedder.y_proj.fc1.weight",)),
    Rule("pixart", "pos_embed.proj.weight", (1152, 4, 2, 2), "one modulation, patches of 2 of 4 channels", COMFY, also=(_PIXART,), without=("temporal_transformer_blocks.0.attn1.to_q.weight",)),
    Rule("zimage", "cap_embedder.1.bias", (3840,), "caption embedding of 3840", COMFY, also=("noise_refiner.0.attention.k_norm.weight",)),
    Rule("zimage", "all_x_embedder.2-1.weight", (3840,), "patch embedding of 3840", DIFFUSERS_MODELS, also=("cap_embedder.1.bias",)),
    Rule("lumina", "cap_embedder.1.bias", (2304,), "caption embedding of 2304", COMFY, also=("noise_refiner.0.attention.k_norm.weight",)),
    Rule("omnigen2", "ref_image_patch_embedder.weight", (), "patches of reference images", COMFY, also=("time_caption_embed.timestep_embedder.linear_1.bias",)),
    Rule("lumina", "time_caption_embed.caption_embedder.1.bias", (2304,), "caption embedding of 2304", DIFFUSERS_MODELS, also=("noise_refiner.0.attn.norm_k.weight",)),
    Rule("lumina", "layers.0.attention.wk_y.weight", (), "attention to captions in each layer", "Alpha-VLLM/Lumina-T2X lumina_next_t2i/models/model.py", also=("cap_embedder.1.bias",)),
    Rule("hidream", "caption_projection.0.linear.weight", (), "projections of several captions", COMFY, also=("double_stream_blocks.0.block.adaLN_modulation.1.bias",)),
    Rule("anima", "llm_adapter.blocks.0.cross_attn.q_proj.weight", (), "adapter of a language model", COMFY, also=("x_embedder.proj.1.weight",)),
    Rule("qwen", "txt_norm.weight", (3584,), "text normalisation of 3584", COMFY, also=("transformer_blocks.0.img_mod.1.bias",)),
    Rule("qwen", "txt_in.text_norm.weight", (), "text normalisation inside the input", COMFY, also=("transformer_blocks.0.attn.norm_q.weight", "modulation.1.weight")),
    Rule("krea2", "txtfusion.projector.weight", (), "fusion of text layers", COMFY),
    Rule("krea2", "text_fusion.projector.weight", (), "fusion of text layers", DIFFUSERS_MODELS),
    Rule("ideogram4", "embed_image_indicator.weight", (), "an indicator of images", COMFY),
)
"""Which architecture; the first line that holds."""

EDITIONS: dict[str, tuple[Rule, ...]] = {
    "sd3": (
        Rule("3.5 medium", "joint_blocks.0.x_block.attn2.qkv.weight", (), "a second attention in the first blocks", COMFY),
        Rule("3.5 medium", "transformer_blocks.0.attn2.to_k.weight", (), "a second attention in the first blocks", DIFFUSERS_MODELS),
        Rule("3.5 large", "joint_blocks.37.x_block.mlp.fc1.weight", (), "38 blocks", DIFFUSERS),
        Rule("3.5 large", "transformer_blocks.37.norm1.linear.weight", (), "38 blocks", DIFFUSERS_MODELS),
        Rule("3 medium", "pos_embed", (1, 36864, 1536), "24 blocks, a position table of 192 x 192", DIFFUSERS),
        Rule("3 medium", "pos_embed.pos_embed", (1, 36864, 1536), "24 blocks, a position table of 192 x 192", DIFFUSERS_MODELS),
        Rule("3 medium", "joint_blocks.23.x_block.mlp.fc1.weight", (), "24 blocks", COMFY),
        Rule("3 medium", "transformer_blocks.23.norm1.linear.weight", (), "24 blocks", DIFFUSERS_MODELS),
    ),
    "cascade": (
        Rule("stage c lite", "clip_txt_mapper.weight", (1536,), "width 1536", COMFY),
        Rule("stage c", "clip_txt_mapper.weight", (2048,), "width 2048", COMFY),
        Rule("stage b lite", "down_blocks.1.0.channelwise.0.weight", (ANY, 576), "width 576", DIFFUSERS),
        Rule("stage b", "down_blocks.1.0.channelwise.0.weight", (ANY, 640), "width 640", DIFFUSERS),
        Rule("stage b lite", "down_blocks.1.0.channelwise.0.bias", (2304,), "width 576", COMFY),
        Rule("stage b", "down_blocks.1.0.channelwise.0.bias", (2560,), "width 640", COMFY),
    ),
    "flux": (
        Rule("fill", "img_in.weight", (ANY, 384), "384 input channels: image, masked image and mask", DIFFUSERS),
        Rule("fill", "x_embedder.weight", (ANY, 384), "384 input channels: image, masked image and mask", DIFFUSERS),
        Rule("canny or depth", "img_in.weight", (ANY, 128), "128 input channels: image and guide", DIFFUSERS),
        Rule("canny or depth", "x_embedder.weight", (ANY, 128), "128 input channels: image and guide", DIFFUSERS),
        Rule("lite", "double_blocks.7.img_attn.norm.key_norm.scale", (), "8 double blocks in place of 19", "Freepik/flux.1-lite-8B README", without=("double_blocks.8.img_attn.norm.key_norm.scale",)),
        Rule("dev", "guidance_in.in_layer.weight", (), "an embedding of the guidance", COMFY),
        Rule("dev", "time_text_embed.guidance_embedder.linear_1.weight", (), "an embedding of the guidance", DIFFUSERS_MODELS),
        Rule("schnell", "time_in.in_layer.weight", (), "no embedding of the guidance", COMFY),
        Rule("schnell", "time_text_embed.timestep_embedder.linear_1.weight", (), "no embedding of the guidance", DIFFUSERS_MODELS),
    ),
    "flux2": (
        Rule("klein 4B", "img_in.weight", (3072,), "width 3072", COMFY),
        Rule("klein 9B", "img_in.weight", (4096,), "width 4096", COMFY),
        Rule("dev", "img_in.weight", (6144,), "width 6144", COMFY),
        Rule("klein 4B", "x_embedder.weight", (3072,), "width 3072", DIFFUSERS_MODELS),
        Rule("klein 9B", "x_embedder.weight", (4096,), "width 4096", DIFFUSERS_MODELS),
        Rule("dev", "x_embedder.weight", (6144,), "width 6144", DIFFUSERS_MODELS),
    ),
    "chroma": (
        Rule("radiance", "nerf_blocks.0.norm.scale", (), "decodes to pixels by NeRF blocks", COMFY),
        Rule("radiance", "nerf_blocks.0.norm.weight", (), "decodes to pixels by NeRF blocks", COMFY ),
    ),
    "pixart": (
        Rule("alpha", "y_embedder.y_embedding", (120,), "captions of 120 tokens", COMFY),
        Rule("sigma", "y_embedder.y_embedding", (300,), "captions of 300 tokens", COMFY),
        Rule("alpha", "ar_embedder.mlp.0.weight", (), "embeddings of resolution and aspect ratio", COMFY),
        Rule("alpha", "adaln_single.emb.resolution_embedder.linear_1.weight", (), "embedding of the resolution", DIFFUSERS_MODELS),
    ),
    "hunyuan": (
        Rule("1.1", "extra_embedder.0.weight", (ANY, 3968), "conditions of size and style", COMFY),
        Rule("1.2", "extra_embedder.0.weight", (ANY, 1024), "no conditions of size and style", COMFY ),
        Rule("1.1", "time_extra_emb.style_embedder.weight", (), "conditions of size and style", DIFFUSERS_MODELS),
        Rule("1.2", "time_extra_emb.extra_embedder.linear_1.weight", (ANY, 1024), "no conditions of size and style", DIFFUSERS_MODELS),
    ),
    "lumina": (
        Rule("next", "layers.0.attention.wk_y.weight", (), "attention to captions in each layer", "Alpha-VLLM/Lumina-T2X lumina_next_t2i/models/model.py"),
        Rule("newbie", "clip_text_pooled_proj.0.weight", (), "projection of pooled CLIP", COMFY),
        Rule("2", "cap_embedder.1.bias", (2304,), "caption embedding of 2304", COMFY),
        Rule("2", "time_caption_embed.caption_embedder.1.bias", (2304,), "caption embedding of 2304", DIFFUSERS_MODELS),
    ),
    "sana": (
        Rule("sprint", "cfg_embedder.mlp.0.weight", (), "an embedding of the guidance", _SANA),
        Rule("sprint", "time_embed.guidance_embedder.linear_1.weight", (), "an embedding of the guidance", DIFFUSERS_MODELS),
        Rule("4K", "pos_embed", (1, 16384), "a position table of 128 x 128", _SANA),
        Rule("2K", "pos_embed", (1, 4096), "a position table of 64 x 64", _SANA),
        Rule("1.5", "blocks.0.attn.q_norm.weight", (), "normed queries", _SANA),
        Rule("1.5", "transformer_blocks.0.attn1.norm_q.weight", (), "normed queries", DIFFUSERS_MODELS),
        Rule("512", "pos_embed", (1, 256), "a position table of 16 x 16", _SANA),
    ),
    "qwen": (
        Rule("2.1", "txt_in.text_norm.weight", (), "text normalisation inside the input", COMFY),
        Rule("layered", "time_text_embed.addition_t_embedding.weight", (), "an embedding of the layer", COMFY),
        Rule("edit 2511", "__index_timestep_zero__", (), "an empty tensor says so", COMFY),
    ),
}
"""Which model of the architecture; the first line that holds."""

VARIANTS: dict[str, tuple[Rule, ...]] = {
    "flux": (
        Rule("inpainting", "img_in.weight", (ANY, 384), "384 input channels: image, masked image and mask", DIFFUSERS),
        Rule("inpainting", "x_embedder.weight", (ANY, 384), "384 input channels: image, masked image and mask", DIFFUSERS),
        Rule("control", "img_in.weight", (ANY, 128), "128 input channels: image and guide", DIFFUSERS ),
        Rule("control", "x_embedder.weight", (ANY, 128), "128 input channels: image and guide", DIFFUSERS),
    ),
}
"""What was changed; every line that holds."""
