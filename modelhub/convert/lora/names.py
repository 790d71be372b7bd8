"""The modules of a UNet and of text encoders under the names of diffusers, and back.

A LoRA names a module as the program did that it was trained in: diffusers, or the original code
of Stable Diffusion. The two count blocks differently, and the arithmetic between them is the same
for all UNets of the family, which have two residual blocks a level (three on the way up).

Sources: huggingface/diffusers ``loaders/single_file_utils.py`` and
``loaders/lora_conversion_utils.py``; kohya-ss/sd-scripts ``networks/lora.py`` and
``library/sdxl_model_util.py`` (``make_unet_conversion_map``).
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import NamedTuple

_PER_LEVEL = 3
"""Entries of ``input_blocks`` a level: two residual blocks and the downsampler."""
_ENDS = (
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
)
_RESIDUAL = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("emb_layers.1", "time_emb_proj"),
    ("skip_connection", "conv_shortcut"),
)
_TO_DIFFUSERS = dict(_ENDS)
_TO_ORIGINAL = {new: old for old, new in _ENDS}
_RESIDUAL_TO_DIFFUSERS = dict(_RESIDUAL)
_RESIDUAL_TO_ORIGINAL = {new: old for old, new in _RESIDUAL}

_INPUT = re.compile(r"input_blocks\.(\d{1,3})\.(\d)\.(.+)")
_MIDDLE = re.compile(r"middle_block\.(\d)\.(.+)")
_OUTPUT = re.compile(r"output_blocks\.(\d{1,3})\.(\d)\.(.+)")
_DOWN = re.compile(r"down_blocks\.(\d{1,2})\.(resnets|attentions|downsamplers)\.(\d)\.(.+)")
_MID = re.compile(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)")
_UP = re.compile(r"up_blocks\.(\d{1,2})\.(resnets|attentions|upsamplers)\.(\d)\.(.+)")


def diffusers_unet(path: str) -> str | None:
    """A module of an original UNet as diffusers names it; None of a name that is none of them."""
    if path in _TO_DIFFUSERS:
        return _TO_DIFFUSERS[path]
    if found := _INPUT.fullmatch(path):
        level, place = divmod(int(found[1]) - 1, _PER_LEVEL)
        if found[3] == "op":
            return f"down_blocks.{level}.downsamplers.0.conv"
        return _inside(f"down_blocks.{level}", found[2], place, found[3])
    if found := _MIDDLE.fullmatch(path):
        number = int(found[1])
        return _inside("mid_block", str(number % 2), number // 2, found[2])
    if found := _OUTPUT.fullmatch(path):
        level, place = divmod(int(found[1]), _PER_LEVEL)
        if found[3] == "conv":
            return f"up_blocks.{level}.upsamplers.0.conv"
        return _inside(f"up_blocks.{level}", found[2], place, found[3])
    return None


def _inside(block: str, kind: str, place: int, rest: str) -> str | None:
    if kind == "0":
        inner = _RESIDUAL_TO_DIFFUSERS.get(rest)
        return None if inner is None else f"{block}.resnets.{place}.{inner}"
    return f"{block}.attentions.{place}.{rest}" if kind == "1" else None


def original_unet(path: str, attention_levels: Set[int]) -> str | None:
    """A module of a UNet of diffusers as the original code names it; None of any other name.

    :param attention_levels: the ``up_blocks`` that have attention: there, the upsampler comes
        third, elsewhere second.
    """
    if path in _TO_ORIGINAL:
        return _TO_ORIGINAL[path]
    if found := _DOWN.fullmatch(path):
        number = 1 + int(found[1]) * _PER_LEVEL + int(found[3])
        if found[2] == "downsamplers":
            return f"input_blocks.{number + 2}.0.op" if found[4] == "conv" else None
        return _outside(f"input_blocks.{number}", found[2], found[4])
    if found := _MID.fullmatch(path):
        number = int(found[2]) * 2 + (found[1] == "attentions")
        inner = found[3] if found[1] == "attentions" else _RESIDUAL_TO_ORIGINAL.get(found[3])
        return None if inner is None else f"middle_block.{number}.{inner}"
    if found := _UP.fullmatch(path):
        level, number = int(found[1]), int(found[1]) * _PER_LEVEL + int(found[3])
        if found[2] == "upsamplers":
            third = 2 if level in attention_levels else 1
            return f"output_blocks.{number + 2}.{third}.conv" if found[4] == "conv" else None
        return _outside(f"output_blocks.{number}", found[2], found[4])
    return None


def _outside(block: str, kind: str, rest: str) -> str | None:
    if kind == "attentions":
        return f"{block}.1.{rest}"
    inner = _RESIDUAL_TO_ORIGINAL.get(rest)
    return None if inner is None else f"{block}.0.{inner}"


class Piece(NamedTuple):
    """What a tensor holds of a module that another program names by itself.

    :param path: of the module, as diffusers or transformers name it.
    :param start: the first of its rows, as the `start`-th of `of` equal stacks of them.
    :param stop: where its rows end, counted alike.
    :param transposed: stored the other way round.
    """

    path: str
    start: int = 0
    stop: int = 1
    of: int = 1
    transposed: bool = False


_OPEN_CLIP = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+)")
_OPEN_CLIP_MODULES = {
    "attn.out_proj.weight": "self_attn.out_proj",
    "mlp.c_fc.weight": "mlp.fc1",
    "mlp.c_proj.weight": "mlp.fc2",
    "ln_1.weight": "layer_norm1",
    "ln_2.weight": "layer_norm2",
}
_QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj")


def clip_pieces(name: str) -> tuple[Piece, ...]:
    """The modules of a CLIP of transformers that a weight of any CLIP's text encoder holds.

    OpenCLIP has query, key and value in one tensor, and its projection transposed.

    :param name: of the tensor, without the prefix of the encoder.
    """
    if found := _OPEN_CLIP.fullmatch(name):
        layer = f"text_model.encoder.layers.{found[1]}"
        if found[2] == "attn.in_proj_weight":
            return tuple(
                Piece(f"{layer}.self_attn.{one}", index, index + 1, 3)
                for index, one in enumerate(_QUERY_KEY_VALUE)
            )
        module = _OPEN_CLIP_MODULES.get(found[2])
        return () if module is None else (Piece(f"{layer}.{module}"),)
    if name == "text_projection":
        return (Piece("text_projection", transposed=True),)
    if name == "ln_final.weight":
        return (Piece("text_model.final_layer_norm"),)
    path = name.removesuffix(".weight")
    if path == name:
        return ()
    if path.startswith(("encoder.", "embeddings.", "final_layer_norm")):
        path = f"text_model.{path}"
    return (Piece(path),)


_FLUX_BLOCK = re.compile(r"(double|single)_blocks\.(\d{1,3})\.(.+)")
FLUX_DOUBLE = {
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
}
"""Linear layers of a double block, in the original's names and in those of diffusers."""
_FLUX_SINGLE = {"linear2": "proj_out", "modulation.lin": "norm.linear"}
_FLUX_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_FLUX_ENDS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}


def flux_pieces(path: str) -> tuple[Piece, ...]:
    """The modules of a Flux transformer of diffusers that a module of the original one holds.

    The first layer of a single block has query, key, value and the four times as wide start of
    the feed-forward network in one: seven stacks of rows. (``scripts/convert_flux_to_diffusers.py``
    of huggingface/diffusers.)
    """
    found = _FLUX_BLOCK.fullmatch(path)
    if found is None:
        end = _FLUX_ENDS.get(path)
        return () if end is None else (Piece(end),)
    if found[1] == "single":
        block = f"single_transformer_blocks.{found[2]}"
        if found[3] == "linear1":
            fused = (Piece(f"{block}.attn.to_{one}", at, at + 1, 7) for at, one in enumerate("qkv"))
            return (*fused, Piece(f"{block}.proj_mlp", 3, 7, 7))
        name = _FLUX_SINGLE.get(found[3])
        return () if name is None else (Piece(f"{block}.{name}"),)
    block = f"transformer_blocks.{found[2]}"
    if found[3] in _FLUX_FUSED:
        parts = _FLUX_FUSED[found[3]]
        return tuple(Piece(f"{block}.{one}", at, at + 1, 3) for at, one in enumerate(parts))
    name = FLUX_DOUBLE.get(found[3])
    return () if name is None else (Piece(f"{block}.{name}"),)


FLUX2_DOUBLE = {
    "img_mlp.0": "ff.linear_in",
    "img_mlp.2": "ff.linear_out",
    "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out",
}
FLUX2_SINGLE = {"linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"}
FLUX2_ENDS = {
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
}


def flux2_pieces(path: str) -> tuple[Piece, ...]:
    """The module of a FLUX.2 transformer of diffusers that one of the original is, where Flux 1 has
    another or none (``convert_flux2_transformer_checkpoint_to_diffusers`` in
    ``loaders/single_file_utils.py`` of huggingface/diffusers)."""
    found = _FLUX_BLOCK.fullmatch(path)
    if found is None:
        end = FLUX2_ENDS.get(path)
        return () if end is None else (Piece(end),)
    if found[1] == "single":
        name, block = FLUX2_SINGLE.get(found[3]), "single_transformer_blocks"
    else:
        name, block = FLUX2_DOUBLE.get(found[3]), "transformer_blocks"
    return () if name is None else (Piece(f"{block}.{found[2]}.{name}"),)
