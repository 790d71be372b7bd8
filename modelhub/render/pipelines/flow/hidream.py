"""HiDream-I1: the settings of its transformer, whose names are those of diffusers everywhere.

Sources: ``HiDream-ai/HiDream-I1`` ``inference.py`` and the published ``transformer/config.json``,
``huggingface/diffusers`` ``src/diffusers/models/transformers/transformer_hidream_image.py``.
"""

from __future__ import annotations

from typing import Any

from modelhub.errors import AddonMisfit, FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes, heads
from modelhub.formats.identity import Identity

LLAMA = "Llama-3-8B"
_HEAD = 128
_PATCH = 2
_PLACES = 128
"""Latents along each side of the largest picture that is not square, had it the same area."""
MOST_PIXELS = (_PLACES * 8) ** 2
_LAYERS_OF_LLAMA = 32
_TOKENS = 128
"""Of a prompt, that CLIP has to have places for; others of its kind have 77."""


def transformer_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of a transformer.

    :param shapes: of its tensors.
    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    width = shapes.extent("x_embedder.proj.weight")
    double, single = (shapes.number_of(f"{one}_stream_blocks") for one in ("double", "single"))
    captions, number = shapes.number_of("caption_projection"), heads(width, _HEAD)
    if captions != double + single + 1:
        raise FormatError(
            f"it has {captions} projections of captions for {double + single} blocks", hint=""
        )
    head = width // number
    return {
        "patch_size": _PATCH,
        "in_channels": shapes.extent("x_embedder.proj.weight", 1) // _PATCH**2,
        "out_channels": shapes.extent("final_layer.linear.weight") // _PATCH**2,
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": head,
        "num_attention_heads": number,
        "caption_channels": [
            shapes.extent(f"caption_projection.{captions - 1}.linear.weight", 1),
            shapes.extent("caption_projection.0.linear.weight", 1),
        ],
        "text_emb_dim": shapes.extent("p_embedder.pooled_embedder.linear_1.weight", 1),
        "num_routed_experts": shapes.number_of("double_stream_blocks.0.block.ff_i.experts"),
        "num_activated_experts": 2,
        "axes_dims_rope": [head // 2, head // 4, head // 4],
        "max_resolution": [_PLACES, _PLACES],
        # Each block reads a layer of Llama, those that come after its last one the last.
        "llama_layers": [min(one, _LAYERS_OF_LLAMA - 1) for one in range(double + single)],
    }


def scheduler_config(identity: Identity) -> dict[str, Any]:
    """The configuration of the scheduler that a model was trained with."""
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": 6.0 if identity.edition == "dev" else 3.0,
    }


def require_places(config: Any, path: str) -> None:
    """Refuse a CLIP that reads fewer tokens than the pipeline gives it.

    :param config: of the encoder; `path` is its file.
    :raises AddonMisfit: it does.
    """
    places = config["max_position_embeddings"]
    if places < _TOKENS:
        raise AddonMisfit(
            f"the CLIP of {path} reads {places} tokens, and that of HiDream 248",
            hint="take clip_l_hidream.safetensors and clip_g_hidream.safetensors",
        )
