"""Wan's layouts, at the true widths or at small ones: transformer, VAE of 2.2, text encoder.

Sources: ``Wan-Video/Wan2.1`` ``wan/modules/model.py`` and ``t5.py``, ``Wan-Video/Wan2.2``
``wan/modules/vae2_2.py``. The VAE of 2.1 is Qwen-Image's.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import flux
from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias
from tests.formats.identify.real_headers import descriptions, shapes_of

_FREQUENCIES = 256


@dataclass(frozen=True, slots=True)
class Widths:
    """Those of the 14B.

    :param taken: channels that go in; `given` those that come out.
    """

    width: int = 5120
    inner: int = 13824
    caption: int = 4096
    blocks: int = 40
    taken: int = 16
    given: int = 16


TINY = Widths(width=128, inner=160, caption=flux.T5_TINY.width, blocks=2)


def transformer(widths: Widths) -> Table:
    """The transformer under the names of its makers and of ComfyUI."""
    width = widths.width
    table = [
        *weight_and_bias("patch_embedding", width, widths.taken, 1, 2, 2),
        *weight_and_bias("text_embedding.0", width, widths.caption),
        *weight_and_bias("text_embedding.2", width, width),
        *weight_and_bias("time_embedding.0", width, _FREQUENCIES),
        *weight_and_bias("time_embedding.2", width, width),
        *weight_and_bias("time_projection.1", width * 6, width),
        *weight_and_bias("head.head", widths.given * 4, width),
        Tensor("head.modulation", (1, 2, width)),
    ]
    for block in range(widths.blocks):
        name = f"blocks.{block}"
        for attention in ("self_attn", "cross_attn"):
            for one in "qkvo":
                table += weight_and_bias(f"{name}.{attention}.{one}", width, width)
            table += [Tensor(f"{name}.{attention}.norm_{one}.weight", (width,)) for one in "qk"]
        table += [
            *[Tensor(f"{name}.norm3.{one}", (width,)) for one in ("weight", "bias")],
            *weight_and_bias(f"{name}.ffn.0", widths.inner, width),
            *weight_and_bias(f"{name}.ffn.2", width, widths.inner),
            Tensor(f"{name}.modulation", (1, 6, width)),
        ]
    return table


def text_encoder() -> Table:
    """A small UMT5, as ComfyUI has it."""
    bias = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
    return [*flux.t5_encoder(flux.T5_TINY), Tensor(bias, (32, flux.T5_TINY.heads))]


_OWN_NAMES = (
    ("shared.", "token_embedding."),
    ("encoder.final_layer_norm.", "norm."),
    ("encoder.block.", "blocks."),
    (".layer.0.SelfAttention.relative_attention_bias.", ".pos_embedding.embedding."),
    (".layer.0.SelfAttention.", ".attn."),
    (".layer.0.layer_norm.", ".norm1."),
    (".layer.1.layer_norm.", ".norm2."),
    (".layer.1.DenseReluDense.wi_0.", ".ffn.gate.0."),
    (".layer.1.DenseReluDense.wi_1.", ".ffn.fc1."),
    (".layer.1.DenseReluDense.wo.", ".ffn.fc2."),
)


def text_encoder_of_wan() -> Table:
    """The same under Wan's own names."""
    return [Tensor(_renamed(one.name), one.shape) for one in text_encoder()]


def _renamed(name: str) -> str:
    for new, old in _OWN_NAMES:
        name = name.replace(new, old)
    return name


_SMALLER = {160: 8, 320: 16, 640: 32, 1920: 96, 256: 8, 512: 16, 1024: 32, 2048: 64, 3072: 96}


def autoencoder_of_2_2() -> Table:
    """The 5B's VAE as it is published, made narrow."""
    shapes = shapes_of(descriptions()["wan22-vae"])
    return [
        Tensor(name, tuple(_SMALLER.get(one, one) for one in shape))
        for name, shape in shapes.items()
    ]
