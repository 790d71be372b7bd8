"""FLUX.2's layouts, at the true widths or at small ones: its transformers, VAE and text encoders.

Sources: ``black-forest-labs/flux2`` ``src/flux2/model.py`` and ``autoencoder.py``,
``Comfy-Org/flux2-dev`` (the text encoder of Mistral, cut after the last layer that is read).
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights import sd1
from modelhub.demo.weights.tables import Table, Tensor

_FREQUENCIES = 256
_LATENTS = 32
_PATCHES = _LATENTS * 4


@dataclass(frozen=True, slots=True)
class Widths:
    """Those of dev."""

    width: int = 6144
    head: int = 128
    caption: int = 15360
    double: int = 8
    single: int = 48
    guided: bool = True


KLEIN_4B = Widths(width=3072, caption=7680, double=5, single=20, guided=False)
KLEIN_9B = Widths(width=4096, caption=12288, double=8, single=24, guided=False)
TINY = Widths(width=64, head=32, caption=96, double=1, single=1)


def transformer(widths: Widths) -> Table:
    """The transformer as Black Forest Labs and ComfyUI publish it."""
    width = widths.width
    table = [
        Tensor("img_in.weight", (width, _PATCHES)),
        Tensor("txt_in.weight", (width, widths.caption)),
        Tensor("single_stream_modulation.lin.weight", (width * 3, width)),
        Tensor("final_layer.adaLN_modulation.1.weight", (width * 2, width)),
        Tensor("final_layer.linear.weight", (_PATCHES, width)),
    ]
    for name in ("time_in", "guidance_in") if widths.guided else ("time_in",):
        table.append(Tensor(f"{name}.in_layer.weight", (width, _FREQUENCIES)))
        table.append(Tensor(f"{name}.out_layer.weight", (width, width)))
    for side in ("img", "txt"):
        table.append(Tensor(f"double_stream_modulation_{side}.lin.weight", (width * 6, width)))
        for block in range(widths.double):
            name = f"double_blocks.{block}.{side}"
            table += [
                Tensor(f"{name}_attn.qkv.weight", (width * 3, width)),
                Tensor(f"{name}_attn.proj.weight", (width, width)),
                Tensor(f"{name}_mlp.0.weight", (width * 6, width)),
                Tensor(f"{name}_mlp.2.weight", (width, width * 3)),
                *_norms(f"{name}_attn", widths.head),
            ]
    for block in range(widths.single):
        name = f"single_blocks.{block}"
        table += [
            Tensor(f"{name}.linear1.weight", (width * 9, width)),
            Tensor(f"{name}.linear2.weight", (width, width * 4)),
            *_norms(name, widths.head),
        ]
    return table


def _norms(name: str, head: int) -> Table:
    return [Tensor(f"{name}.norm.{one}_norm.scale", (head,)) for one in ("query", "key")]


def autoencoder(width: int) -> Table:
    """The VAE: Stable Diffusion's with 32 channels, and what a batch norm counted."""
    return [
        *sd1.autoencoder(sd1.Widths(vae=width, latents=_LATENTS)),
        Tensor("bn.running_mean", (_PATCHES,)),
        Tensor("bn.running_var", (_PATCHES,)),
        Tensor("bn.num_batches_tracked", (), "I64"),
    ]


def mistral(width: int, layers: int) -> Table:
    """The text model of Mistral Small with heads of 128; without a norm, as ComfyUI cuts it."""
    head = 128
    table = [Tensor("model.embed_tokens.weight", (300, width))]
    for layer in range(layers):
        name = f"model.layers.{layer}"
        table += [
            Tensor(f"{name}.input_layernorm.weight", (width,)),
            Tensor(f"{name}.post_attention_layernorm.weight", (width,)),
            Tensor(f"{name}.self_attn.q_proj.weight", (head * 2, width)),
            Tensor(f"{name}.self_attn.k_proj.weight", (head, width)),
            Tensor(f"{name}.self_attn.v_proj.weight", (head, width)),
            Tensor(f"{name}.self_attn.o_proj.weight", (width, head * 2)),
            Tensor(f"{name}.mlp.gate_proj.weight", (width * 2, width)),
            Tensor(f"{name}.mlp.up_proj.weight", (width * 2, width)),
            Tensor(f"{name}.mlp.down_proj.weight", (width, width * 2)),
        ]
    return table
