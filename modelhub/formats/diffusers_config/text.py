"""``text_encoder/config.json`` and what goes with its tokenizer, told from the encoder's tensors.

What no tensor tells is as in ``openai/clip-vit-large-patch14`` and in the configurations that
Stable Diffusion 2 and SDXL publish for OpenCLIP's encoders.
"""

from __future__ import annotations

from typing import Any

from modelhub.formats.diffusers_config.shapes import PartShapes, heads

START, END = "<|startoftext|>", "<|endoftext|>"
_PADDING_OF_OPEN_CLIP = "!"
_WIDTHS_OF_OPEN_CLIP = (1024, 1280)


def text_config(shapes: PartShapes, *, open_clip: bool, projecting: bool) -> dict[str, Any]:
    """The configuration of a CLIP text encoder.

    :param open_clip: it is one of OpenCLIP's, whose activation is another.
    :param projecting: its pipeline asks for the projection of what comes out.
    :raises FormatError: its tensors are incomplete.
    """
    width = shapes.extent("text_model.embeddings.token_embedding.weight", 1)
    projected = width
    if shapes.dimensions("text_projection.weight"):
        projected = shapes.extent("text_projection.weight")
    return {
        "architectures": ["CLIPTextModelWithProjection" if projecting else "CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": "gelu" if open_clip or width in _WIDTHS_OF_OPEN_CLIP else "quick_gelu",
        "hidden_size": width,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": shapes.extent("text_model.encoder.layers.0.mlp.fc1.weight"),
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": _positions(shapes),
        "model_type": "clip_text_model",
        "num_attention_heads": heads(width),
        "num_hidden_layers": shapes.number_of("text_model.encoder.layers"),
        "pad_token_id": 1,
        "projection_dim": projected,
        "vocab_size": shapes.extent("text_model.embeddings.token_embedding.weight"),
    }


def _positions(shapes: PartShapes) -> int:
    return shapes.extent("text_model.embeddings.position_embedding.weight")


def tokenizer_configs(*, open_clip: bool) -> dict[str, dict[str, Any]]:
    """The files of a tokenizer beside its vocabulary: its settings and its special tokens.

    :param open_clip: short texts are filled up with another token.
    """
    padding = _PADDING_OF_OPEN_CLIP if open_clip else END
    special = {"bos_token": START, "eos_token": END, "pad_token": padding, "unk_token": END}
    return {
        "tokenizer_config.json": {
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "tokenizer_class": "CLIPTokenizer",
            **special,
        },
        "special_tokens_map.json": special,
    }
