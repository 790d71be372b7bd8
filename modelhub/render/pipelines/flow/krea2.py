"""Krea 2: the names and the settings of its transformer, and what it reads of a text.

Names as in ``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``
(``convert_krea2_transformer_checkpoint_to_diffusers``); what no tensor tells as the defaults of
``src/diffusers/models/transformers/transformer_krea2.py``, which are those of ``krea/Krea-2-Raw``
and ``krea/Krea-2-Turbo``.
"""

from __future__ import annotations

from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.flow.renaming import Cut, Into, Rules

LAYERS_READ = (2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35)
"""After which layers of Qwen3-VL-4B its numbers are read (``src/diffusers/pipelines/krea2``,
``text_encoder_select_layers``)."""

RAW = "raw"
"""The edition that is not distilled."""

_IN_A_BLOCK = {
    "attn.wq": "attn.to_q",
    "attn.wk": "attn.to_k",
    "attn.wv": "attn.to_v",
    "attn.wo": "attn.to_out.0",
    "attn.gate": "attn.to_gate",
    "attn.qknorm.qnorm": "attn.norm_q",
    "attn.qknorm.knorm": "attn.norm_k",
    "mlp.gate": "ff.gate",
    "mlp.up": "ff.up",
    "mlp.down": "ff.down",
    "prenorm": "norm1",
    "postnorm": "norm2",
}
_BLOCKS = {
    "blocks.#": "transformer_blocks.#",
    "txtfusion.layerwise_blocks.#": "text_fusion.layerwise_blocks.#",
    "txtfusion.refiner_blocks.#": "text_fusion.refiner_blocks.#",
}
_ONES = {
    "first": "img_in",
    "tmlp.0": "time_embed.linear_1",
    "tmlp.2": "time_embed.linear_2",
    "tproj.1": "time_mod_proj",
    "txtmlp.0": "txt_in.norm",
    "txtmlp.1": "txt_in.linear_1",
    "txtmlp.3": "txt_in.linear_2",
    "txtfusion.projector": "text_fusion.projector",
    "last.linear": "final_layer.linear",
    "last.norm": "final_layer.norm",
    "last.modulation.lin": "final_layer.scale_shift_table",
}
KREA2: Rules = {
    **{old: Into((new,)) for old, new in _ONES.items()},
    **{
        f"{block}.{old}": Into((f"{named}.{new}",))
        for block, named in _BLOCKS.items()
        for old, new in _IN_A_BLOCK.items()
    },
    "blocks.#.mod.lin": Into(("transformer_blocks.#.scale_shift_table",), Cut.SIX_ROWS),
}
"""The layers of Krea's and ComfyUI's files."""


def krea2_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of ``Krea2Transformer2DModel``.

    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    width = shapes.extent("img_in.weight")
    head = shapes.extent("transformer_blocks.0.attn.norm_q.weight")
    fusion = "text_fusion.layerwise_blocks.0"
    text = shapes.extent("txt_in.linear_1.weight", 1)
    text_head = shapes.extent(f"{fusion}.attn.norm_q.weight")
    if width % head or head % 16 or text % text_head:
        raise FormatError(f"heads of {head} numbers do not fit a width of {width}", hint="")
    read = shapes.extent("text_fusion.projector.weight", 1)
    if read != len(LAYERS_READ):
        raise FormatError(f"it reads {read} layers of a text, not {len(LAYERS_READ)}", hint="")
    return {
        "in_channels": shapes.extent("img_in.weight", 1),
        "num_layers": shapes.number_of("transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "num_key_value_heads": max(
            1, shapes.extent("transformer_blocks.0.attn.to_k.weight") // head
        ),
        "intermediate_size": shapes.extent("transformer_blocks.0.ff.gate.weight"),
        "timestep_embed_dim": shapes.extent("time_embed.linear_1.weight", 1),
        "text_hidden_dim": text,
        "num_text_layers": read,
        "text_num_attention_heads": text // text_head,
        "text_num_key_value_heads": max(
            1, shapes.extent(f"{fusion}.attn.to_k.weight") // text_head
        ),
        "text_intermediate_size": shapes.extent(f"{fusion}.ff.gate.weight"),
        "num_layerwise_text_blocks": shapes.number_of("text_fusion.layerwise_blocks"),
        "num_refiner_text_blocks": shapes.number_of("text_fusion.refiner_blocks"),
        "axes_dims_rope": [head // 4, head // 8 * 3, head // 8 * 3],
    }


def krea2_settings(identity: Identity) -> dict[str, Any]:
    """What its pipeline is told of a model: of Turbo, the noise is moved alike for all sizes.

    No tensor tells the two apart. One whose name does not say that it is the raw one is taken for
    Turbo, with which its makers want pictures to be made (``krea/Krea-2-Turbo``).
    """
    return {"is_distilled": identity.edition != RAW}
