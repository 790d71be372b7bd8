"""The settings of these transformers and of their schedulers, told from shapes.

What no tensor tells is as in the published ``config.json`` of each model and as the defaults of
its class in ``huggingface/diffusers`` ``src/diffusers/models/transformers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes, heads
from modelhub.render.pipelines.flow import hidream, sana, wan
from modelhub.render.pipelines.flow.flux2 import flux2_config, text_width
from modelhub.render.pipelines.flow.krea2 import krea2_config
from modelhub.render.pipelines.flow.qwen21 import qwen21_config

_PATCH = 2
"""Latents on each side of a patch, of all that have their patches in a linear layer."""
_HEAD_OF_SD3 = 64
_HEAD_OF_AURA = 256
_PACKED = ("flux", "flux2", "chroma", "qwen", "krea2")
"""Computing on rows of patches, whose latents are the channels."""


def transformer_config(architecture: str, shapes: PartShapes) -> dict[str, Any]:
    """The configuration of a transformer.

    :param architecture: as identification names it.
    :param shapes: of its tensors, by the names of diffusers.
    :raises FormatError: tensors are missing, or have shapes that they cannot have.
    """
    return _CONFIGS[architecture](shapes)


def latent_channels(architecture: str, config: Mapping[str, Any]) -> int:
    """How many channels the latents have that a transformer computes on."""
    channels = int(config["in_channels"])
    return channels // _PATCH**2 if architecture in _PACKED else channels


def text_widths(architecture: str, config: Mapping[str, Any]) -> dict[tuple[str, ...], int]:
    """How wide the text encoders have to be, by their names; of several, all together."""
    if architecture == "sd3":
        return {
            ("text_encoder", "text_encoder_2"): config["pooled_projection_dim"],
            ("text_encoder_3",): config["joint_attention_dim"],
        }
    if architecture == "hidream":
        of_t5, of_llama = config["caption_channels"]
        return {
            ("text_encoder", "text_encoder_2"): config["text_emb_dim"],
            ("text_encoder_3",): of_t5,
            ("text_encoder_4",): of_llama,
        }
    if architecture == "flux":
        return {
            ("text_encoder",): config["pooled_projection_dim"],
            ("text_encoder_2",): config["joint_attention_dim"],
        }
    if architecture == "flux2":
        return {("text_encoder",): text_width(config)}
    return {("text_encoder",): next((config[one] for one in _TEXT_WIDTHS if one in config), 0)}


_TEXT_WIDTHS = (
    "joint_attention_dim",
    "cap_feat_dim",
    "context_in_dim",
    "text_hidden_dim",
    "text_dim",
    "caption_channels",
)


def _sd3(shapes: PartShapes) -> dict[str, Any]:
    width, patch = (shapes.extent("pos_embed.proj.weight", place) for place in (0, 2))
    normed = shapes.dimensions("transformer_blocks.0.attn.norm_q.weight") > 0
    head = shapes.extent("transformer_blocks.0.attn.norm_q.weight") if normed else _HEAD_OF_SD3
    number = heads(width, head)
    layers = shapes.number_of("transformer_blocks")
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": shapes.extent("pos_embed.proj.weight", 1),
        "out_channels": shapes.extent("proj_out.weight") // patch**2,
        "num_layers": layers,
        "attention_head_dim": width // number,
        "num_attention_heads": number,
        "joint_attention_dim": shapes.extent("context_embedder.weight", 1),
        "caption_projection_dim": shapes.extent("context_embedder.weight"),
        "pooled_projection_dim": shapes.extent("time_text_embed.text_embedder.linear_1.weight", 1),
        "pos_embed_max_size": isqrt(shapes.extent("pos_embed.pos_embed", 1)),
        "dual_attention_layers": [
            layer for layer in range(layers) if shapes.has(f"transformer_blocks.{layer}.attn2")
        ],
        "qk_norm": "rms_norm" if normed else None,
    }


def _flux_blocks(shapes: PartShapes) -> dict[str, Any]:
    return _double_blocks(shapes, "x_embedder", "context_embedder") | {
        "patch_size": 1,
        "out_channels": shapes.extent("proj_out.weight"),
        "num_single_layers": shapes.number_of("single_transformer_blocks"),
    }


def _double_blocks(shapes: PartShapes, pictures: str, texts: str) -> dict[str, Any]:
    """Blocks that have weights for the picture and others for the text.

    :param pictures: the layer that latents go in by; `texts` the same of the prompt.
    """
    width = shapes.extent(f"{pictures}.weight")
    head = shapes.extent("transformer_blocks.0.attn.norm_q.weight")
    if width % head or head % 16:
        raise FormatError(f"heads of {head} numbers do not fit a width of {width}", hint="")
    first = head // 8
    return {
        "in_channels": shapes.extent(f"{pictures}.weight", 1),
        "num_layers": shapes.number_of("transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes.extent(f"{texts}.weight", 1),
        "axes_dims_rope": [first, (head - first) // 2, (head - first) // 2],
    }


def _qwen(shapes: PartShapes) -> dict[str, Any]:
    return _double_blocks(shapes, "img_in", "txt_in") | {
        "patch_size": _PATCH,
        "out_channels": shapes.extent("proj_out.weight") // _PATCH**2,
    }


def _flux(shapes: PartShapes) -> dict[str, Any]:
    return _flux_blocks(shapes) | {
        "pooled_projection_dim": shapes.extent("time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": shapes.has("time_text_embed.guidance_embedder"),
    }


def _chroma(shapes: PartShapes) -> dict[str, Any]:
    guidance = "distilled_guidance_layer"
    return _flux_blocks(shapes) | {
        "approximator_num_channels": shapes.extent(f"{guidance}.in_proj.weight", 1),
        "approximator_hidden_dim": shapes.extent(f"{guidance}.in_proj.weight"),
        "approximator_layers": shapes.number_of(f"{guidance}.layers"),
    }


def _z_image(shapes: PartShapes) -> dict[str, Any]:
    width = shapes.extent("all_x_embedder.2-1.weight")
    head = shapes.extent("layers.0.attention.norm_q.weight")
    return {
        "all_patch_size": [_PATCH],
        "all_f_patch_size": [1],
        "in_channels": shapes.extent("all_x_embedder.2-1.weight", 1) // _PATCH**2,
        "dim": width,
        "n_layers": shapes.number_of("layers"),
        "n_refiner_layers": shapes.number_of("noise_refiner"),
        "n_heads": max(1, width // head),
        "n_kv_heads": max(1, shapes.extent("layers.0.attention.to_k.weight") // head),
        "cap_feat_dim": shapes.extent("cap_embedder.0.weight"),
        "axes_dims": [head // 4, head // 8 * 3, head // 8 * 3],
    }


def _lumina(shapes: PartShapes) -> dict[str, Any]:
    width = shapes.extent("x_embedder.weight")
    head = shapes.extent("layers.0.attn.norm_q.weight")
    return {
        "sample_size": 128,
        "patch_size": _PATCH,
        "in_channels": shapes.extent("x_embedder.weight", 1) // _PATCH**2,
        "hidden_size": width,
        "num_layers": shapes.number_of("layers"),
        "num_refiner_layers": shapes.number_of("noise_refiner"),
        "num_attention_heads": max(1, width // head),
        "num_kv_heads": max(1, shapes.extent("layers.0.attn.to_k.weight") // head),
        "cap_feat_dim": shapes.extent("time_caption_embed.caption_embedder.0.weight"),
        "axes_dim_rope": [head // 3] * 3,
    }


def _aura(shapes: PartShapes) -> dict[str, Any]:
    width = shapes.extent("pos_embed.proj.weight")
    number = heads(width, _HEAD_OF_AURA)
    return {
        "sample_size": 64,
        "patch_size": _PATCH,
        "in_channels": shapes.extent("pos_embed.proj.weight", 1) // _PATCH**2,
        "out_channels": shapes.extent("proj_out.weight") // _PATCH**2,
        "num_mmdit_layers": shapes.number_of("joint_transformer_blocks"),
        "num_single_dit_layers": shapes.number_of("single_transformer_blocks"),
        "attention_head_dim": width // number,
        "num_attention_heads": number,
        "joint_attention_dim": shapes.extent("context_embedder.weight", 1),
        "caption_projection_dim": shapes.extent("context_embedder.weight"),
        "pos_embed_max_size": shapes.extent("pos_embed.pos_embed", 1),
    }


_CONFIGS: Mapping[str, Callable[[PartShapes], dict[str, Any]]] = {
    "sd3": _sd3,
    "flux": _flux,
    "flux2": flux2_config,
    "chroma": _chroma,
    "zimage": _z_image,
    "lumina": _lumina,
    "auraflow": _aura,
    "qwen": _qwen,
    "qwen21": qwen21_config,
    "krea2": krea2_config,
    "wan": wan.transformer_config,
    "sana": sana.transformer_config,
    "hidream": hidream.transformer_config,
}

_BY_SIZE = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "shift": 3.0,
    "use_dynamic_shifting": True,
}
"""``scheduler/scheduler_config.json`` of ``black-forest-labs/FLUX.1-dev`` and of all FLUX.2: more
noise for larger pictures."""
_BY_SIZE_OF_QWEN = _BY_SIZE | {
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "shift": 1.0,
    "shift_terminal": 0.02,
}
"""``Qwen/Qwen-Image`` ``scheduler/scheduler_config.json``, and that of ``Qwen/Qwen-Image-2.1``."""
_BY_SIZE_OF_KREA_2 = _BY_SIZE | {"max_image_seq_len": 6400, "shift": 1.0}
"""``krea/Krea-2-Raw`` ``scheduler/scheduler_config.json``."""
_SHIFTS = {"sd3": 3.0, "zimage": 3.0, "lumina": 6.0, "auraflow": 1.73}
"""``shift`` of the published ``scheduler_config.json`` of each."""


def scheduler_config(architecture: str, *, guided: bool = True) -> dict[str, Any]:
    """The configuration of the scheduler that a model was trained with.

    :param guided: Flux's dev, which has an embedding of the guidance; else schnell.
    """
    made: dict[str, Any] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
    }
    if architecture in _SHIFTS:
        return made | {"shift": _SHIFTS[architecture]}
    if architecture in ("qwen", "qwen21"):
        return made | _BY_SIZE_OF_QWEN
    if architecture == "krea2":
        return made | _BY_SIZE_OF_KREA_2
    if architecture == "flux2":
        # Its pipeline moves the noise by a rule of its own, of size and steps; klein's as dev's.
        return made | _BY_SIZE
    return made | (_BY_SIZE if guided else {"shift": 1.0, "use_dynamic_shifting": False})
