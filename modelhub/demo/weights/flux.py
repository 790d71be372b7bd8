"""The tensor tables of Flux.1 and of the text encoder T5 that it reads, for any widths.

The transformer is that of ``black-forest-labs/flux`` ``src/flux/model.py``, T5 as in
``comfyanonymous/flux_text_encoders`` ``t5xxl_fp16.safetensors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias

_PATCHED = 64
"""Numbers of a patch: 2 x 2 latents of 16 channels."""
_FREQUENCIES = 256


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of Flux.1 dev, the defaults.

    :param pooled: of CLIP-L.
    :param joint: of T5.
    :param guided: with an embedding of the guidance, as dev has one and schnell does not.
    """

    width: int = 3072
    head: int = 128
    double: int = 19
    single: int = 38
    pooled: int = 768
    joint: int = 4096
    guided: bool = True


TRUE = Widths()
TINY = Widths(width=64, head=32, double=1, single=2, pooled=32, joint=48)


@dataclass(frozen=True, slots=True)
class T5Widths:
    """The widths of T5 v1.1 XXL's encoder, the defaults."""

    width: int = 4096
    inner: int = 10240
    heads: int = 64
    head: int = 64
    layers: int = 24
    vocabulary: int = 32128


T5_TINY = T5Widths(width=48, inner=96, heads=2, head=16, layers=2, vocabulary=300)


def transformer(widths: Widths) -> Table:
    """The tensors of the transformer, as it is published alone."""
    width = widths.width
    embedders = {"time_in": _FREQUENCIES, "vector_in": widths.pooled}
    if widths.guided:
        embedders["guidance_in"] = _FREQUENCIES
    table = [
        *weight_and_bias("img_in", width, _PATCHED),
        *weight_and_bias("txt_in", width, widths.joint),
        *weight_and_bias("final_layer.linear", _PATCHED, width),
        *weight_and_bias("final_layer.adaLN_modulation.1", width * 2, width),
    ]
    for name, inputs in embedders.items():
        table += weight_and_bias(f"{name}.in_layer", width, inputs)
        table += weight_and_bias(f"{name}.out_layer", width, width)
    for block in range(widths.double):
        for side in ("img", "txt"):
            table += _side(f"double_blocks.{block}.{side}", widths)
    for block in range(widths.single):
        name = f"single_blocks.{block}"
        table += [
            *weight_and_bias(f"{name}.linear1", width * 7, width),
            *weight_and_bias(f"{name}.linear2", width, width * 5),
            *weight_and_bias(f"{name}.modulation.lin", width * 3, width),
            *_norms(f"{name}.norm", widths.head),
        ]
    return table


def _side(name: str, widths: Widths) -> Table:
    width = widths.width
    return [
        *weight_and_bias(f"{name}_mod.lin", width * 6, width),
        *weight_and_bias(f"{name}_attn.qkv", width * 3, width),
        *weight_and_bias(f"{name}_attn.proj", width, width),
        *_norms(f"{name}_attn.norm", widths.head),
        *weight_and_bias(f"{name}_mlp.0", width * 4, width),
        *weight_and_bias(f"{name}_mlp.2", width, width * 4),
    ]


def _norms(name: str, head: int) -> Table:
    return [Tensor(f"{name}.{one}_norm.scale", (head,)) for one in ("query", "key")]


def t5_encoder(widths: T5Widths) -> Table:
    """The tensors of T5's encoder, as it is published alone."""
    width, inner = widths.width, widths.heads * widths.head
    table = [
        Tensor("shared.weight", (widths.vocabulary, width)),
        Tensor("encoder.final_layer_norm.weight", (width,)),
        Tensor(
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            (32, widths.heads),
        ),
    ]
    for layer in range(widths.layers):
        name = f"encoder.block.{layer}.layer"
        table += [
            *[Tensor(f"{name}.0.SelfAttention.{one}.weight", (inner, width)) for one in "qkv"],
            Tensor(f"{name}.0.SelfAttention.o.weight", (width, inner)),
            Tensor(f"{name}.0.layer_norm.weight", (width,)),
            Tensor(f"{name}.1.DenseReluDense.wi_0.weight", (widths.inner, width)),
            Tensor(f"{name}.1.DenseReluDense.wi_1.weight", (widths.inner, width)),
            Tensor(f"{name}.1.DenseReluDense.wo.weight", (width, widths.inner)),
            Tensor(f"{name}.1.layer_norm.weight", (width,)),
        ]
    return table
