"""The modules of Wan's transformer under the names of its makers, where diffusers has others.

Source: huggingface/diffusers ``loaders/single_file_utils.py``
(``convert_wan_transformer_to_diffusers``). Files are published, and LoRAs trained, under either.
"""

from __future__ import annotations

import re

from modelhub.convert.lora.names import Piece

_BLOCK = re.compile(r"blocks\.(\d{1,3})\.(.+)")
WAN_BLOCK = {
    **{
        f"{old}.{layer}": f"{new}.{name}"
        for old, new in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for layer, name in (*((one, f"to_{one}") for one in "qkv"), ("o", "to_out.0"))
    },
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
"""The linear layers of a block, by the names of the makers: those of diffusers."""
WAN_ENDS = {
    **{
        f"{one}_embedding.{layer}": f"condition_embedder.{one}_embedder.{name}"
        for one in ("time", "text")
        for layer, name in (("0", "linear_1"), ("2", "linear_2"))
    },
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
}
"""The same of those before and behind the blocks."""
_IN_BLOCK = {new: old for old, new in WAN_BLOCK.items()}
_ENDS = {new: old for old, new in WAN_ENDS.items()}


def wan_pieces(path: str) -> tuple[Piece, ...]:
    """What a module of a Wan transformer of diffusers is in the original; empty of any other."""
    found = _BLOCK.fullmatch(path)
    if found is None:
        end = _ENDS.get(path)
        return () if end is None else (Piece(end),)
    name = _IN_BLOCK.get(found[2])
    return () if name is None else (Piece(f"blocks.{found[1]}.{name}"),)
