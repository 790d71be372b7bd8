"""The modules of Wan's transformer under the names of its makers, where diffusers has others.

Source: huggingface/diffusers ``loaders/single_file_utils.py``
(``convert_wan_transformer_to_diffusers``). LoRAs are trained under either.
"""

from __future__ import annotations

import re

from modelhub.convert.lora.names import Piece

_BLOCK = re.compile(r"blocks\.(\d{1,3})\.(.+)")
_ATTENTIONS = {"attn1": "self_attn", "attn2": "cross_attn"}
_LAYERS = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
_IN_BLOCK = {
    **{
        f"{new}.{layer}": f"{old}.{one}"
        for new, old in _ATTENTIONS.items()
        for layer, one in _LAYERS.items()
    },
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
_ENDS = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "proj_out": "head.head",
}


def wan_pieces(path: str) -> tuple[Piece, ...]:
    """What a module of a Wan transformer of diffusers is in the original; empty of any other."""
    found = _BLOCK.fullmatch(path)
    if found is None:
        end = _ENDS.get(path)
        return () if end is None else (Piece(end),)
    name = _IN_BLOCK.get(found[2])
    return () if name is None else (Piece(f"blocks.{found[1]}.{name}"),)
