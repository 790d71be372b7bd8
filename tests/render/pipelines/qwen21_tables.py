"""Qwen-Image 2.1's layouts, at the true widths or at small ones: its transformer and its VAE.

Sources: ``Comfy-Org/Qwen-Image-2.1``; for the VAE, ``Wan-Video/Wan2.2`` ``wan/modules/vae2_2.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias
from tests.render.pipelines.qwen_tables import middle_and_head, residual

_FREQUENCIES = 256
_LATENTS = 64
_LEVELS = (1, 2, 4, 8, 8)


@dataclass(frozen=True, slots=True)
class Widths:
    """Qwen-Image 2.1's."""

    width: int = 4096
    head: int = 128
    caption: int = 4096
    blocks: int = 32
    inner: int = 3


TINY = Widths(width=64, head=32, caption=32, blocks=2)


def transformer(widths: Widths, *, fused: bool = True) -> Table:
    """The transformer.

    :param fused: as ComfyUI has it, gate and values in one layer.
    """
    width = widths.width
    shapes: dict[str, tuple[int, ...]] = {
        "img_in": (width, _LATENTS),
        "txt_in.text_norm": (widths.caption,),
        "txt_in.in_layer": (width, widths.caption),
        "txt_in.out_layer": (width, width),
        "time_text_embed.timestep_embedder.linear_1": (width, _FREQUENCIES),
        "time_text_embed.timestep_embedder.linear_2": (width, width),
        "modulation.1": (width * 4, width),
        "norm_out.linear": (width, width),
        "proj_out": (_LATENTS, width),
    }
    inner = width * widths.inner
    gates = {"gate_up": inner * 2} if fused else {"gate_layer": inner, "proj": inner}
    for block in range(widths.blocks):
        name = f"transformer_blocks.{block}"
        for one in ("to_q", "to_k", "to_v", "to_out.0"):
            shapes[f"{name}.attn.{one}"] = (width, width)
        for one in "qk":
            shapes[f"{name}.attn.norm_{one}"] = (widths.head,)
        for one, rows in gates.items():
            shapes[f"{name}.img_mlp.{one}"] = (rows, width)
        shapes[f"{name}.img_mlp.out"] = (width, inner)
    return [Tensor(f"{name}.weight", shape) for name, shape in shapes.items()]


def autoencoder(base: int, decoder: int, *, of_frames: bool = False) -> Table:
    """The VAE, laid out as ComfyUI has it.

    :param base: width of the encoder at full size: 96; `decoder` the decoder's: 144.
    :param of_frames: with an axis of time of length 1 in the convolutions.
    """
    made = [
        *weight_and_bias("conv1", _LATENTS * 2, _LATENTS * 2, 1, 1),
        *weight_and_bias("conv2", _LATENTS, _LATENTS, 1, 1),
        *weight_and_bias("encoder.conv1", base, 4, 3, 3),
        *middle_and_head("encoder", base * _LEVELS[-1], base * _LEVELS[-1], _LATENTS * 2, 2),
        *weight_and_bias("decoder.conv1", decoder * _LEVELS[-1], _LATENTS, 3, 3),
        *middle_and_head("decoder", decoder * _LEVELS[-1], decoder, 4, 2),
    ]
    inputs = base
    for level, times in enumerate(_LEVELS):
        name, wide = f"encoder.downsamples.{level}.downsamples", base * times
        for number in range(2):
            made += residual(f"{name}.{number}", inputs, wide, 2)
            inputs = wide
        if level < len(_LEVELS) - 1:
            made += _sampler(f"{name}.2", wide, wide, wide if level else 0)
    inputs = decoder * _LEVELS[-1]
    for level, times in enumerate(_LEVELS[::-1]):
        name, wide = f"decoder.upsamples.{level}.upsamples", decoder * times
        for number in range(3):
            made += residual(f"{name}.{number}", inputs, wide, 2)
            inputs = wide
        if level < len(_LEVELS) - 1:
            made += _sampler(f"{name}.3", wide, wide, wide * 2 if level < 3 else 0)
    if not of_frames:
        return made
    return [
        Tensor(one.name, (*one.shape[:2], 1, *one.shape[2:]))
        if len(one.shape) == 4 and not _is_of_pictures(one.name)
        else one
        for one in made
    ]


def _is_of_pictures(name: str) -> bool:
    return any(part in name for part in (".gamma", "resample.", "to_qkv", ".proj."))


def _sampler(name: str, inputs: int, outputs: int, of_time: int) -> Table:
    table = weight_and_bias(f"{name}.resample.1", outputs, inputs, 3, 3)
    if of_time:
        table = [*table, *weight_and_bias(f"{name}.time_conv", of_time, inputs, 1, 1)]
    return table
