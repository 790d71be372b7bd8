"""VAEs alone and baked in: by the layout of their decoder and the channels of their latents.

A VAE of 4 or 16 channels does not say by its shapes which architecture it is for: SD 1, SD 2 and
SDXL share one shape, SD 3 and Flux another, and Qwen-Image has that of Wan 2.1.
"""

from __future__ import annotations

from modelhub.formats.identify.engine import ANY, Rule
from modelhub.formats.identify.sources import (
    A1111,
    COMFY_SD,
    DIFFUSERS,
    DIFFUSERS_MODELS,
    TAESD,
    TOOLKIT,
)

# fmt: off
# ruff: noqa: E501 (a table has one rule a line)

_IN = "decoder.conv_in.weight"
_IN_3D = "decoder.conv_in.conv.weight"
_WAN = "decoder.middle.0.residual.0.gamma"
_WAN_22 = "decoder.upsamples.0.upsamples.0.residual.2.weight"
_D_WAN = "decoder.mid_block.resnets.0.norm1.gamma"
_LTX = "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight"
_MOCHI = "blocks.2.blocks.3.stack.5.weight"
_TEMPORAL = "decoder.mid_block.resnets.0.temporal_res_block.conv1.weight"

VAES: tuple[Rule, ...] = (
    Rule("tiny, 4-channel", "taesd_decoder.1.weight", (ANY, 4), "TAESD, 4 latent channels", TAESD),
    Rule("tiny, 16-channel", "taesd_decoder.1.weight", (ANY, 16), "TAESD, 16 latent channels", TAESD ),
    Rule("tiny, 4-channel", "decoder.layers.0.weight", (64, 4, 3, 3), "TAESD, 4 latent channels", DIFFUSERS_MODELS),
    Rule("tiny, 16-channel", "decoder.layers.0.weight", (64, 16, 3, 3), "TAESD, 16 latent channels", DIFFUSERS_MODELS),
    Rule("tiny, 4-channel", "1.weight", (64, 4, 3, 3), "decoder of TAESD, 4 latent channels", TAESD, also=("3.conv.0.weight",)),
    Rule("tiny, 16-channel", "1.weight", (64, 16, 3, 3), "decoder of TAESD, 16 latent channels", TAESD, also=("3.conv.0.weight",)),
    Rule("tiny, 32-channel", "1.weight", (64, 32, 3, 3), "decoder of TAESD, 32 latent channels", TAESD, also=("3.conv.0.weight",)),
    Rule("tiny", "1.weight", (ANY, ANY, 3, 3), "decoder of TAESD", TAESD, also=("3.conv.0.weight",)),
    Rule("tiny, encoder", "0.weight", (ANY, 3, 3, 3), "encoder of TAESD", TAESD, also=("1.conv.0.weight",)),
    Rule("tiny, encoder", "0.weight", (ANY, 3, 3, 3), "encoder of TAESD", TAESD, also=("8.conv.4.weight", "10.conv.0.weight")),
    Rule("tiny, video", "decoder.22.bias", (), "TAEHV", COMFY_SD, also=("decoder.1.weight",)),
    Rule("stage a", "vquantizer.codebook.weight", (), "a codebook", COMFY_SD),
    Rule("stage c encoder", "backbone.1.0.block.0.1.num_batches_tracked", (), "EfficientNet", COMFY_SD),
    Rule("stage c encoder", "encoder.backbone.1.0.block.0.1.num_batches_tracked", (), "EfficientNet", COMFY_SD),
    Rule("stage c previewer", "blocks.11.num_batches_tracked", (), "a previewer of stage C", COMFY_SD ),
    Rule("temporal decoder", "decoder.mid.block_1.mix_factor", (), "a decoder that mixes frames", COMFY_SD),
    Rule("temporal decoder", _TEMPORAL, (), "a decoder that mixes frames", DIFFUSERS_MODELS),
    Rule("64-channel", "decoder.conv1.weight", (ANY, 64), "Wan's residuals, 64 latent channels", COMFY_SD, also=(_WAN, _WAN_22)),
    Rule("64-channel", _IN, (ANY, 64, 3, 3), "Wan's residuals, 64 latent channels", DIFFUSERS_MODELS, also=(_D_WAN,)),
    Rule("2.2, 48-channel", _WAN_22, (), "Wan's residuals, nested upsampling", COMFY_SD, also=(_WAN,) ),
    Rule("2.1, 16-channel", _WAN, (), "Wan's residuals", COMFY_SD),
    Rule("2.1, 16-channel", _IN, (ANY, 16, 3, 3, 3), "Wan's residuals, 16 latent channels", DIFFUSERS_MODELS, also=(_D_WAN,)),
    Rule("2.2, 48-channel", _IN, (ANY, 48, 3, 3, 3), "Wan's residuals, 48 latent channels", DIFFUSERS_MODELS, also=(_D_WAN,)),
    Rule("video, 128-channel", _LTX, (), "LTX's decoder", COMFY_SD),
    Rule("video, 128-channel", _IN_3D, (ANY, 128), "128 latent channels", DIFFUSERS_MODELS),
    Rule("video, 12-channel", _MOCHI, (), "Mochi's decoder", COMFY_SD),
    Rule("video, 12-channel", "decoder." + _MOCHI, (), "Mochi's decoder", COMFY_SD),
    Rule("video, 12-channel", "layers.4.layers.1.attn_block.attn.qkv.weight", (), "Mochi's encoder", COMFY_SD),
    Rule("video, 12-channel", "encoder.layers.4.layers.1.attn_block.attn.qkv.weight", (), "Mochi's encoder", COMFY_SD),
    Rule("video, 12-channel", "decoder.block_in.resnets.0.norm1.norm_layer.weight", (), "Mochi's decoder", DIFFUSERS_MODELS),
    Rule("cogvideox, 16-channel", _IN_3D, (ANY, 16), "spatially normed, 16 latent channels", COMFY_SD, also=("decoder.mid_block.resnets.0.norm1.norm_layer.weight",)),
    Rule("video, 32-channel", _IN_3D, (ANY, 32), "causal convolutions, 32 latent channels", COMFY_SD ),
    Rule("video, 16-channel", _IN_3D, (ANY, 16), "causal convolutions, 16 latent channels", COMFY_SD ),
    Rule("video, 4-channel", _IN_3D, (ANY, 4), "causal convolutions, 4 latent channels", COMFY_SD),
    Rule("tokenizer", "decoder.unpatcher3d.wavelets", (), "wavelets of Cosmos", COMFY_SD),
    Rule("deep compression", "decoder.stages.1.op_list.0.main.conv.conv.bias", (), "DC-AE", DIFFUSERS ),
    Rule("deep compression", "decoder.up_blocks.1.0.conv.weight", (), "DC-AE", DIFFUSERS_MODELS, also=(_IN,)),
    Rule("audio", "decoder.layers.1.layers.0.beta", (), "Oobleck's snake activations", COMFY_SD),
    Rule("audio", "vocoder.backbone.channel_layers.0.0.bias", (), "a vocoder", COMFY_SD),
    Rule("shapes", "geo_decoder.cross_attn_decoder.ln_1.bias", (), "a decoder of shapes", COMFY_SD),
    Rule("approximation", "conv1.weight", (8, 4, 7, 7), "8 convolutions from 4 channels", A1111 + "/sd_vae_approx.py", also=("conv8.weight",)),
    Rule("approximation", "conv1.weight", (8, 16, 7, 7), "8 convolutions from 16 channels", A1111 + "/sd_vae_approx.py", also=("conv8.weight",)),
    Rule("vq", "quantize.embedding.weight", (), "a codebook between encoder and decoder", DIFFUSERS_MODELS, also=(_IN,)),
    Rule("32-channel", "bn.running_mean", (128,), "32 latent channels in patches of 2, batch norm", COMFY_SD, also=(_IN,)),
    Rule("4-channel", _IN, (ANY, 4, 3, 3), "4 latent channels", TOOLKIT),
    Rule("16-channel", _IN, (ANY, 16, 3, 3), "16 latent channels", COMFY_SD),
    Rule("8-channel", _IN, (ANY, 8, 3, 3), "8 latent channels", DIFFUSERS_MODELS),
    Rule("32-channel", _IN, (ANY, 32, 3, 3), "32 latent channels", COMFY_SD),
    Rule("64-channel", _IN, (ANY, 64, 3, 3), "64 latent channels", COMFY_SD),
    Rule("encoder, 4-channel", "encoder.conv_out.weight", (8,), "4 latent channels", TOOLKIT, also=("encoder.conv_in.weight",)),
    Rule("encoder, 16-channel", "encoder.conv_out.weight", (32,), "16 latent channels", COMFY_SD, also=("encoder.conv_in.weight",)),
)
"""Which VAE; the first line that holds."""

ARCHITECTURES: tuple[Rule, ...] = (
    Rule("cascade", "vquantizer.codebook.weight", (), "only Stable Cascade has a codebook there", COMFY_SD),
    Rule("cascade", "backbone.1.0.block.0.1.num_batches_tracked", (), "only Stable Cascade encodes by EfficientNet", COMFY_SD),
    Rule("cascade", "encoder.backbone.1.0.block.0.1.num_batches_tracked", (), "only Stable Cascade encodes by EfficientNet", COMFY_SD),
    Rule("cascade", "blocks.11.num_batches_tracked", (), "only Stable Cascade has a previewer", COMFY_SD),
    Rule("svd", "decoder.mid.block_1.mix_factor", (), "the decoder of SVD", COMFY_SD),
    Rule("svd", _TEMPORAL, (), "the decoder of SVD", DIFFUSERS_MODELS),
    Rule("qwen", "decoder.conv1.weight", (ANY, 64), "the VAE of Qwen-Image 2.1", COMFY_SD, also=(_WAN, _WAN_22)),
    Rule("qwen", _IN, (ANY, 64, 3, 3), "the VAE of Qwen-Image 2.1", DIFFUSERS_MODELS, also=(_D_WAN,)),
    Rule("wan", _WAN_22, (), "the VAE of Wan 2.2", COMFY_SD, also=(_WAN,)),
    Rule("wan", _IN, (ANY, 48, 3, 3, 3), "the VAE of Wan 2.2", DIFFUSERS_MODELS, also=(_D_WAN,)),
    Rule("ltxv", _LTX, (), "the VAE of LTX", COMFY_SD),
    Rule("ltxv", _IN_3D, (ANY, 128), "the VAE of LTX", DIFFUSERS_MODELS),
    Rule("mochi", _MOCHI, (), "the VAE of Mochi", COMFY_SD),
    Rule("mochi", "decoder." + _MOCHI, (), "the VAE of Mochi", COMFY_SD),
    Rule("mochi", "layers.4.layers.1.attn_block.attn.qkv.weight", (), "the VAE of Mochi", COMFY_SD),
    Rule("mochi", "encoder.layers.4.layers.1.attn_block.attn.qkv.weight", (), "the VAE of Mochi", COMFY_SD),
    Rule("mochi", "decoder.block_in.resnets.0.norm1.norm_layer.weight", (), "the VAE of Mochi", DIFFUSERS_MODELS),
    Rule("cogvideox", _IN_3D, (ANY, 16), "the VAE of CogVideoX", COMFY_SD, also=("decoder.mid_block.resnets.0.norm1.norm_layer.weight",)),
    Rule("hunyuanvideo", _IN_3D, (), "the VAE of Hunyuan Video", COMFY_SD),
    Rule("hunyuanimage", _IN, (ANY, 64, 3, 3), "the VAE of Hunyuan Image", COMFY_SD),
    Rule("cosmos", "decoder.unpatcher3d.wavelets", (), "the tokenizer of Cosmos", COMFY_SD),
    Rule("flux2", "bn.running_mean", (128,), "the VAE of Flux 2", COMFY_SD, also=(_IN,)),
    Rule("hunyuan3d", "geo_decoder.cross_attn_decoder.ln_1.bias", (), "the VAE of Hunyuan 3D", COMFY_SD),
    Rule("acestep", "vocoder.backbone.channel_layers.0.0.bias", (), "the VAE of ACE-Step", COMFY_SD ),
)
"""Which architecture a VAE is for, where only one has such; the first line that holds."""

LIKELY: tuple[Rule, ...] = (
    Rule("wan", _WAN, (), "Wan 2.1's VAE, or Qwen-Image's of the same shape", COMFY_SD),
    Rule("wan", _IN, (ANY, 16, 3, 3, 3), "Wan 2.1's VAE, or Qwen-Image's of the same shape", DIFFUSERS_MODELS, also=(_D_WAN,)),
)
"""The same as a guess."""

WRAPPERS: tuple[str, ...] = ("", "vae.", "first_stage_model.", "vqgan.")
"""What may stand between the prefix of a part and the names in the tables."""
