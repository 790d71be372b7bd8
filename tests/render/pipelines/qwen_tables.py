"""Qwen-Image's layouts, at the true widths or at small ones: its transformer, VAE, text encoder.

Sources: ``Qwen/Qwen-Image``, ``Comfy-Org/Qwen-Image_ComfyUI``, and for the VAE
``Wan-Video/Wan2.1`` ``wan/modules/vae.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias

_FREQUENCIES = 256
_LATENTS = 16


@dataclass(frozen=True, slots=True)
class Widths:
    """Qwen-Image's."""

    width: int = 3072
    head: int = 128
    caption: int = 3584
    blocks: int = 60


TINY = Widths(width=64, head=32, caption=128, blocks=2)


def transformer(widths: Widths) -> Table:
    """Qwen-Image's transformer."""
    width = widths.width
    table = [
        *weight_and_bias("img_in", width, _LATENTS * 4),
        *weight_and_bias("txt_in", width, widths.caption),
        Tensor("txt_norm.weight", (widths.caption,)),
        *weight_and_bias("time_text_embed.timestep_embedder.linear_1", width, _FREQUENCIES),
        *weight_and_bias("time_text_embed.timestep_embedder.linear_2", width, width),
        *weight_and_bias("norm_out.linear", width * 2, width),
        *weight_and_bias("proj_out", _LATENTS * 4, width),
    ]
    for block in range(widths.blocks):
        name = f"transformer_blocks.{block}"
        for one in ("to_q", "to_k", "to_v", "to_out.0"):
            table += weight_and_bias(f"{name}.attn.{one}", width, width)
        for one in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"):
            table += weight_and_bias(f"{name}.attn.{one}", width, width)
        for one in ("q", "k", "added_q", "added_k"):
            table.append(Tensor(f"{name}.attn.norm_{one}.weight", (widths.head,)))
        for side in ("img", "txt"):
            table += weight_and_bias(f"{name}.{side}_mod.1", width * 6, width)
            table += weight_and_bias(f"{name}.{side}_mlp.net.0.proj", width * 4, width)
            table += weight_and_bias(f"{name}.{side}_mlp.net.2", width, width * 4)
    return table


def autoencoder(width: int) -> Table:
    """Wan 2.1's VAE, under the names of its makers and of ComfyUI.

    :param width: of the level at full size: 96.
    """
    widest = width * 4
    table = [
        *weight_and_bias("conv1", _LATENTS * 2, _LATENTS * 2, 1, 1, 1),
        *weight_and_bias("conv2", _LATENTS, _LATENTS, 1, 1, 1),
        *weight_and_bias("encoder.conv1", width, 3, 3, 3, 3),
        *middle_and_head("encoder", widest, widest, _LATENTS * 2),
        *weight_and_bias("decoder.conv1", widest, _LATENTS, 3, 3, 3),
        *middle_and_head("decoder", widest, width, 3),
    ]
    layer, inputs = 0, width
    for level, wide in enumerate((width, width * 2, widest, widest)):
        for number in range(2):
            table += residual(f"encoder.downsamples.{layer + number}", inputs, wide)
            inputs = wide
        layer += 2
        if level < 3:
            table += weight_and_bias(f"encoder.downsamples.{layer}.resample.1", wide, wide, 3, 3)
            if level:
                name = f"encoder.downsamples.{layer}.time_conv"
                table += weight_and_bias(name, wide, wide, 3, 1, 1)
            layer += 1
    layer, inputs = 0, widest
    for level, wide in enumerate((widest, widest, width * 2, width)):
        for number in range(3):
            table += residual(f"decoder.upsamples.{layer + number}", inputs, wide)
            inputs = wide
        layer += 3
        if level < 3:
            name = f"decoder.upsamples.{layer}"
            inputs = wide // 2
            table += weight_and_bias(f"{name}.resample.1", inputs, wide, 3, 3)
            if level < 2:
                table += weight_and_bias(f"{name}.time_conv", wide * 2, wide, 3, 1, 1)
            layer += 1
    return table


def residual(name: str, inputs: int, width: int, dimensions: int = 3) -> Table:
    """A residual block of convolutions in so many dimensions."""
    wide, alone = (3,) * dimensions, (1,) * dimensions
    table = [
        Tensor(f"{name}.residual.0.gamma", (inputs, 1, 1, 1)),
        *weight_and_bias(f"{name}.residual.2", width, inputs, *wide),
        Tensor(f"{name}.residual.3.gamma", (width, 1, 1, 1)),
        *weight_and_bias(f"{name}.residual.6", width, width, *wide),
    ]
    if inputs != width:
        table += weight_and_bias(f"{name}.shortcut", width, inputs, *alone)
    return table


def middle_and_head(side: str, middle: int, last: int, outputs: int, dimensions: int = 3) -> Table:
    """What is beside the levels of an encoder or a decoder."""
    attention = f"{side}.middle.1"
    return [
        *residual(f"{side}.middle.0", middle, middle, dimensions),
        Tensor(f"{attention}.norm.gamma", (middle, 1, 1)),
        *weight_and_bias(f"{attention}.to_qkv", middle * 3, middle, 1, 1),
        *weight_and_bias(f"{attention}.proj", middle, middle, 1, 1),
        *residual(f"{side}.middle.2", middle, middle, dimensions),
        Tensor(f"{side}.head.0.gamma", (last, 1, 1, 1)),
        *weight_and_bias(f"{side}.head.2", outputs, last, *(3,) * dimensions),
    ]


def text_encoder(width: int) -> Table:
    """Qwen 2.5 VL with two layers, and a stump of what it sees with.

    :param width: as one head is, or some heads.
    """
    inner = width * 2
    table = [
        Tensor("model.embed_tokens.weight", (300, width)),
        Tensor("model.norm.weight", (width,)),
        Tensor("lm_head.weight", (300, width)),
        Tensor("visual.patch_embed.proj.weight", (32, 3, 2, 14, 14)),
    ]
    for layer in range(2):
        name = f"model.layers.{layer}"
        table += [
            Tensor(f"{name}.input_layernorm.weight", (width,)),
            Tensor(f"{name}.post_attention_layernorm.weight", (width,)),
            *weight_and_bias(f"{name}.self_attn.q_proj", width, width),
            *weight_and_bias(f"{name}.self_attn.k_proj", 128, width),
            *weight_and_bias(f"{name}.self_attn.v_proj", 128, width),
            Tensor(f"{name}.self_attn.o_proj.weight", (width, width)),
            Tensor(f"{name}.mlp.gate_proj.weight", (inner, width)),
            Tensor(f"{name}.mlp.up_proj.weight", (inner, width)),
            Tensor(f"{name}.mlp.down_proj.weight", (width, inner)),
        ]
    return table
