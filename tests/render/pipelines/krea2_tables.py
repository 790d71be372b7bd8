"""Krea 2's transformer as its makers and ComfyUI lay it out, at the true widths or at small ones.

Source: ``krea-ai/krea-2``, ``Comfy-Org/Krea-2``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.demo.weights.tables import Table, Tensor, weight_and_bias

_FREQUENCIES = 256
_LATENTS = 16
LAYERS_READ = 12


@dataclass(frozen=True, slots=True)
class Widths:
    """Krea 2's."""

    width: int = 6144
    head: int = 128
    key_heads: int = 12
    inner: int = 16384
    blocks: int = 28
    text: int = 2560
    text_head: int = 128
    text_inner: int = 6912


TINY = Widths(
    width=64, head=32, key_heads=1, inner=96, blocks=2, text=32, text_head=16, text_inner=48
)


def transformer(widths: Widths) -> Table:
    """The transformer."""
    width, text = widths.width, widths.text
    table = [
        *weight_and_bias("first", width, _LATENTS * 4),
        *weight_and_bias("tmlp.0", width, _FREQUENCIES),
        *weight_and_bias("tmlp.2", width, width),
        *weight_and_bias("tproj.1", width * 6, width),
        Tensor("txtmlp.0.scale", (text,)),
        *weight_and_bias("txtmlp.1", width, text),
        *weight_and_bias("txtmlp.3", width, width),
        Tensor("txtfusion.projector.weight", (1, LAYERS_READ)),
        Tensor("last.modulation.lin", (2, width)),
        Tensor("last.norm.scale", (width,)),
        *weight_and_bias("last.linear", _LATENTS * 4, width),
    ]
    for stack in ("layerwise_blocks", "refiner_blocks"):
        for block in range(2):
            name = f"txtfusion.{stack}.{block}"
            table += _block(name, text, text, widths.text_head, widths.text_inner)
    for block in range(widths.blocks):
        keys = widths.key_heads * widths.head
        table += _block(f"blocks.{block}", width, keys, widths.head, widths.inner)
        table.append(Tensor(f"blocks.{block}.mod.lin", (width * 6,)))
    return table


def _block(name: str, width: int, keys: int, head: int, inner: int) -> Table:
    return [
        Tensor(f"{name}.attn.wq.weight", (width, width)),
        Tensor(f"{name}.attn.wk.weight", (keys, width)),
        Tensor(f"{name}.attn.wv.weight", (keys, width)),
        Tensor(f"{name}.attn.wo.weight", (width, width)),
        Tensor(f"{name}.attn.gate.weight", (width, width)),
        Tensor(f"{name}.attn.qknorm.qnorm.scale", (head,)),
        Tensor(f"{name}.attn.qknorm.knorm.scale", (head,)),
        Tensor(f"{name}.mlp.gate.weight", (inner, width)),
        Tensor(f"{name}.mlp.up.weight", (inner, width)),
        Tensor(f"{name}.mlp.down.weight", (width, inner)),
        Tensor(f"{name}.prenorm.scale", (width,)),
        Tensor(f"{name}.postnorm.scale", (width,)),
    ]
