"""Sana 1.0 and 1.5: the names and the settings of the transformer.

Sources: ``NVlabs/Sana`` ``diffusion/model/nets/sana_multi_scale.py``, ``huggingface/diffusers``
``src/diffusers/loaders/single_file_utils.py`` (``convert_sana_transformer_to_diffusers``) and
``scripts/convert_sana_to_diffusers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.formats.diffusers_config.shapes import PartShapes, heads
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.flow.renaming import Into, Rules

_HEAD = 32
_HEADS_ON_TEXT = {2240: 112, 1152: 72}
"""Numbers of a head that reads the text, by the width of the model: no tensor tells them."""


def _one(name: str) -> Into:
    return Into((name,))


_BLOCK = "transformer_blocks.#"
_TIME = "time_embed.emb.timestep_embedder."
TRANSFORMER: Rules = {
    "pos_embed": Into(()),
    "y_embedder.y_embedding": Into(()),
    "logvar_linear": Into(()),
    "x_embedder.proj": _one("patch_embed.proj"),
    "t_embedder.mlp.0": _one(f"{_TIME}linear_1"),
    "t_embedder.mlp.2": _one(f"{_TIME}linear_2"),
    "t_block.1": _one("time_embed.linear"),
    "y_embedder.y_proj.fc1": _one("caption_projection.linear_1"),
    "y_embedder.y_proj.fc2": _one("caption_projection.linear_2"),
    "attention_y_norm": _one("caption_norm"),
    "final_layer.linear": _one("proj_out"),
    "final_layer.scale_shift_table": _one("scale_shift_table"),
    "blocks.#": _one(_BLOCK),
    "blocks.#.attn.qkv": Into(tuple(f"{_BLOCK}.attn1.to_{one}" for one in "qkv")),
    "blocks.#.cross_attn.q_linear": _one(f"{_BLOCK}.attn2.to_q"),
    "blocks.#.cross_attn.kv_linear": Into(tuple(f"{_BLOCK}.attn2.to_{one}" for one in "kv")),
    **{
        f"blocks.#.{old}.{key}": _one(f"{_BLOCK}.{new}.{name}")
        for old, new in (("attn", "attn1"), ("cross_attn", "attn2"))
        for key, name in (("q_norm", "norm_q"), ("k_norm", "norm_k"), ("proj", "to_out.0"))
    },
    **{
        f"blocks.#.mlp.{one}_conv.conv": _one(f"{_BLOCK}.ff.conv_{one}")
        for one in ("inverted", "depth", "point")
    },
}
"""From the names of the makers to those of diffusers."""


def transformer_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of a transformer, but for what :func:`sizes` adds.

    :param shapes: of its tensors, by the names of diffusers.
    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    width, channels, patch = (shapes.extent("patch_embed.proj.weight", place) for place in range(3))
    number, on_text = heads(width, _HEAD), heads(width, _HEADS_ON_TEXT.get(width, _HEAD))
    attention = "transformer_blocks.0.attn1"
    normed = shapes.has(f"{attention}.norm_q")
    return {
        "in_channels": channels,
        "out_channels": max(1, shapes.extent("proj_out.weight") // patch**2),
        "num_attention_heads": number,
        "attention_head_dim": width // number,
        "num_layers": shapes.number_of("transformer_blocks"),
        "num_cross_attention_heads": on_text,
        "cross_attention_head_dim": width // on_text,
        "cross_attention_dim": width,
        "caption_channels": shapes.extent("caption_projection.linear_1.weight", 1),
        "mlp_ratio": shapes.extent("transformer_blocks.0.ff.conv_inverted.weight") / 2 / width,
        "attention_bias": shapes.dimensions(f"{attention}.to_q.bias") > 0,
        "patch_size": patch,
        "qk_norm": "rms_norm_across_heads" if normed else None,
    }


_SIZES: Mapping[str, dict[str, Any]] = {
    "512": {"sample_size": 16},
    "2K": {"sample_size": 64, "interpolation_scale": 1.0},
    "4K": {"sample_size": 128, "interpolation_scale": 2.0},
}
_SHIFT = 3.0
_SHIFT_OF_4K = 6.0


def sizes(identity: Identity) -> dict[str, Any]:
    """The settings that tell the size of its pictures; those of 2K and 4K alone know positions."""
    return _SIZES.get(identity.edition or "", {"sample_size": 32})


def scheduler_config(identity: Identity) -> dict[str, Any]:
    """The configuration of the scheduler that a model was trained with."""
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": _SHIFT_OF_4K if identity.edition == "4K" else _SHIFT,
    }
