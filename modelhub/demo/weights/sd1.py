"""The tensor table of a Stable Diffusion 1.x checkpoint, for any widths.

The layout is that of ``CompVis/latent-diffusion``: ``ldm/modules/diffusionmodules/model.py``
(autoencoder), the UNet beside it (:mod:`.unets`), and the CLIP text model of transformers under
``cond_stage_model.transformer``. With the true widths the names and shapes are exactly the 1,131
of the published files.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import unets
from modelhub.demo.weights.tables import Table, Tensor, norm, under, weight_and_bias
from modelhub.demo.weights.unets import UNetShape

_VAE_LEVELS = (1, 2, 4, 4)
_BLOCKS = 2
"""Residual blocks per level; one more on the way up."""


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of SD 1.x; the defaults are the true ones.

    :param unet: channels of the UNet's first level (times 1, 2, 4, 4 below it).
    :param vae: the same of the autoencoder.
    :param text: width of the text encoder, and so of the cross attention.
    :param vocabulary: how many tokens it knows.
    :param latents: channels of what the autoencoder makes of a picture.
    """

    unet: int = 320
    vae: int = 128
    text: int = 768
    vocabulary: int = 49408
    text_layers: int = 12
    unet_inputs: int = 4
    latents: int = 4


TRUE = Widths()
TINY = Widths(unet=16, vae=16, text=32)
"""A checkpoint of about 10 MB in fp16. All parts fit together; group norms need 16 groups."""


def checkpoint(widths: Widths) -> Table:
    """UNet, autoencoder and text encoder, with the prefixes of a full checkpoint."""
    return [
        *under("model.diffusion_model.", unet(widths)),
        *under("first_stage_model.", autoencoder(widths)),
        *under("cond_stage_model.transformer.text_model.", text_encoder(widths)),
    ]


def unet(widths: Widths) -> Table:
    """The UNet's tensors."""
    return unets.unet(
        UNetShape(
            width=widths.unet,
            factors=(1, 2, 4, 4),
            depths=(1, 1, 1, 0),
            middle_depth=1,
            context=widths.text,
            inputs=widths.unet_inputs,
        )
    )


def autoencoder(widths: Widths) -> Table:
    """The tensors of the VAE, as it stands alone in a VAE file."""
    latents = widths.latents
    return [
        *_encoder(widths.vae, latents),
        *_decoder(widths.vae, latents),
        *weight_and_bias("quant_conv", latents * 2, latents * 2, 1, 1),
        *weight_and_bias("post_quant_conv", latents, latents, 1, 1),
    ]


def _encoder(width: int, latents: int) -> Table:
    table = weight_and_bias("encoder.conv_in", width, 3, 3, 3)
    channels = width
    for level, factor in enumerate(_VAE_LEVELS):
        for block in range(_BLOCKS):
            name = f"encoder.down.{level}.block.{block}"
            table += _vae_block(name, channels, width * factor)
            channels = width * factor
        if level < len(_VAE_LEVELS) - 1:
            name = f"encoder.down.{level}.downsample.conv"
            table += weight_and_bias(name, channels, channels, 3, 3)
    return [
        *table,
        *_vae_middle("encoder.mid", channels),
        *norm("encoder.norm_out", channels),
        *weight_and_bias("encoder.conv_out", latents * 2, channels, 3, 3),
    ]


def _decoder(width: int, latents: int) -> Table:
    channels = width * _VAE_LEVELS[-1]
    table = [
        *weight_and_bias("decoder.conv_in", channels, latents, 3, 3),
        *_vae_middle("decoder.mid", channels),
    ]
    for level in reversed(range(len(_VAE_LEVELS))):
        target = width * _VAE_LEVELS[level]
        for block in range(_BLOCKS + 1):
            table += _vae_block(f"decoder.up.{level}.block.{block}", channels, target)
            channels = target
        if level > 0:
            table += weight_and_bias(f"decoder.up.{level}.upsample.conv", target, target, 3, 3)
    return [
        *table,
        *norm("decoder.norm_out", channels),
        *weight_and_bias("decoder.conv_out", 3, channels, 3, 3),
    ]


def _vae_block(name: str, source: int, target: int) -> Table:
    table = [
        *norm(f"{name}.norm1", source),
        *weight_and_bias(f"{name}.conv1", target, source, 3, 3),
        *norm(f"{name}.norm2", target),
        *weight_and_bias(f"{name}.conv2", target, target, 3, 3),
    ]
    if source != target:
        table += weight_and_bias(f"{name}.nin_shortcut", target, source, 1, 1)
    return table


def _vae_middle(name: str, width: int) -> Table:
    attention = [
        tensor
        for part in ("q", "k", "v", "proj_out")
        for tensor in weight_and_bias(f"{name}.attn_1.{part}", width, width, 1, 1)
    ]
    return [
        *_vae_block(f"{name}.block_1", width, width),
        *norm(f"{name}.attn_1.norm", width),
        *attention,
        *_vae_block(f"{name}.block_2", width, width),
    ]


def text_encoder(widths: Widths) -> Table:
    """The tensors of the CLIP text model."""
    width = widths.text
    table = [
        Tensor("embeddings.position_ids", (1, 77), "I64"),
        Tensor("embeddings.token_embedding.weight", (widths.vocabulary, width)),
        Tensor("embeddings.position_embedding.weight", (77, width)),
    ]
    for layer in range(widths.text_layers):
        name = f"encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            table += weight_and_bias(f"{name}.self_attn.{part}", width, width)
        table += [
            *norm(f"{name}.layer_norm1", width),
            *weight_and_bias(f"{name}.mlp.fc1", width * 4, width),
            *weight_and_bias(f"{name}.mlp.fc2", width, width * 4),
            *norm(f"{name}.layer_norm2", width),
        ]
    return [*table, *norm("final_layer_norm", width)]
