"""FLUX.2, dev and klein: names and settings of its transformer, and what it reads of a text.

Names as in ``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``
(``convert_flux2_transformer_checkpoint_to_diffusers``); settings that no tensor tells as the
defaults of ``src/diffusers/models/transformers/transformer_flux2.py``, which are dev's and klein's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.convert.lora.names import FLUX2_DOUBLE, FLUX2_ENDS, FLUX2_SINGLE
from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.render.pipelines.flow.renaming import Cut, Into, Rules

_AXES = 4
"""Of a token's place: time, height, width and the number of the word."""

LAYERS_READ: Mapping[str, tuple[int, ...]] = {
    "Flux2Pipeline": (10, 20, 30),
    "Flux2KleinPipeline": (9, 18, 27),
}
"""After which layers of the text encoder its numbers are read, side by side, none of them normed
(``text_encoder_out_layers`` in ``src/diffusers/pipelines/flux2``): by the class of the pipeline."""
_READINGS = 3


def text_width(config: Mapping[str, Any]) -> int:
    """Numbers of each token that the text encoder has to give."""
    return int(config["joint_attention_dim"]) // _READINGS


def flux2_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of ``Flux2Transformer2DModel``.

    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    width = shapes.extent("x_embedder.weight")
    head = shapes.extent("transformer_blocks.0.attn.norm_q.weight")
    if width % head or head % (2 * _AXES):
        raise FormatError(f"heads of {head} numbers do not fit a width of {width}", hint="")
    return {
        "patch_size": 1,
        "in_channels": shapes.extent("x_embedder.weight", 1),
        "out_channels": shapes.extent("proj_out.weight"),
        "num_layers": shapes.number_of("transformer_blocks"),
        "num_single_layers": shapes.number_of("single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes.extent("context_embedder.weight", 1),
        "timestep_guidance_channels": shapes.extent(
            "time_guidance_embed.timestep_embedder.linear_1.weight", 1
        ),
        "mlp_ratio": shapes.extent("transformer_blocks.0.ff.linear_out.weight", 1) / width,
        "axes_dims_rope": [head // _AXES] * _AXES,
        "guidance_embeds": shapes.has("time_guidance_embed.guidance_embedder"),
    }


def _attention(side: str, inputs: tuple[str, ...], added: str, out: str) -> dict[str, Into]:
    block = "transformer_blocks.#.attn."
    old = f"double_blocks.#.{side}_attn."
    return {
        f"{old}qkv": Into(tuple(f"{block}{name}" for name in inputs)),
        f"{old}norm.query_norm": Into((f"{block}norm_{added}q",)),
        f"{old}norm.key_norm": Into((f"{block}norm_{added}k",)),
        f"{old}proj": Into((f"{block}{out}",)),
    }


_ONES = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
    "single_blocks.#.norm.query_norm": "single_transformer_blocks.#.attn.norm_q",
    "single_blocks.#.norm.key_norm": "single_transformer_blocks.#.attn.norm_k",
    **FLUX2_ENDS,
    **{
        f"double_blocks.#.{old}": f"transformer_blocks.#.{new}" for old, new in FLUX2_DOUBLE.items()
    },
    **{
        f"single_blocks.#.{old}": f"single_transformer_blocks.#.{new}"
        for old, new in FLUX2_SINGLE.items()
    },
}

FLUX2: Rules = {
    **{old: Into((new,)) for old, new in _ONES.items()},
    **_attention("img", ("to_q", "to_k", "to_v"), "", "to_out.0"),
    **_attention("txt", ("add_q_proj", "add_k_proj", "add_v_proj"), "added_", "to_add_out"),
    "final_layer.adaLN_modulation.1": Into(("norm_out.linear",), Cut.SWAPPED),
}
"""The layers of Black Forest Labs' files; one modulation serves all blocks of a kind."""
