"""ControlNets and T2I adapters: what steers a diffusion model by an image.

Sources: comfyanonymous/ComfyUI ``comfy/controlnet.py`` (``load_controlnet``,
``load_t2i_adapter``); lllyasviel/ControlNet ``cldm/cldm.py``; huggingface/diffusers
``models/controlnets/*.py`` and ``models/adapter.py``; invoke-ai/InvokeAI
``model_manager/configs/controlnet.py``; mcmonkeyprojects/SwarmUI ``T2IModelClassSorter.cs``;
kohya-ss/sd-scripts ``networks/control_net_lllite.py``; vislearn/ControlNet-XS;
Stability-AI/StableCascade ``modules/controlnet.py``; guoyww/AnimateDiff (SparseCtrl);
modelscope/DiffSynth-Studio ``qwen_image_controlnet.py``.
"""

# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

from modelhub.formats.identify.small.signatures import (
    Signature,
    Tensors,
    Width,
    by_width,
    first_of,
    identity,
)
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Header

_CONTROLNET = ModelKind.CONTROLNET
_T2I = ModelKind.T2I_ADAPTER
_HINT = "input_hint_block.0.weight"
_EMBED = "controlnet_cond_embedding.conv_in.weight"
_BLOCKS = "controlnet_blocks.0.weight"
_X = "controlnet_x_embedder.weight"

_CROSS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_SAYS = "cross-attention width"

# One line a rule.
# fmt: off
_TABLE: tuple[Signature, ...] = (
    Signature(_CONTROLNET, "a Control-LoRA", ("lora_controlnet",), None, ("control-lora",)),
    Signature(_CONTROLNET, "SparseCtrl: a ControlNet with motion modules", ("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"), "sd1", ("sparsectrl",)),
    Signature(_CONTROLNET, "SparseCtrl: a ControlNet with motion modules", ("controlnet_cond_embedding.weight", "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"), "sd1", ("sparsectrl",)),
    Signature(_CONTROLNET, "a union ControlNet: embeddings of tasks", (_EMBED, "task_embedding"), None, ("union",)),
    Signature(_CONTROLNET, "a union ControlNet: embeddings of controls", (_EMBED, "control_add_embedding.linear_1.weight"), None, ("union",)),
    Signature(_CONTROLNET, "ControlNet-XS", (_EMBED, "up_connections.0.ctrl_to_base.0.weight"), None, ("xs",)),
    Signature(_CONTROLNET, "ControlNet-XS", ("control_to_base_for_conv_in.weight",), None, ("xs",)),
    Signature(_CONTROLNET, "ControlNet-XS", ("control_model.input_blocks.0.0.weight", "enc_zero_convs_out.0.0.weight"), None, ("xs",)),
    Signature(_CONTROLNET, "ControlNet of Kolors: a projection of its text", (_EMBED, "encoder_hid_proj.weight"), "kolors"),
    Signature(_CONTROLNET, "ControlNet as diffusers saves it", (_EMBED, "controlnet_down_blocks.0.weight")),
    Signature(_CONTROLNET, "ControlNet as diffusers saves it", (_EMBED, "controlnet_mid_block.weight")),
    # XLabs' is for Flux, with an image for its hint; SD3's has an embedding of patches for it.
    Signature(_CONTROLNET, "ControlNet of XLabs for Flux", (_BLOCKS, "double_blocks.0.img_attn.qkv.weight"), "flux"),
    Signature(_CONTROLNET, "ControlNet of XLabs for Flux", (_BLOCKS, _HINT), "flux"),
    Signature(_CONTROLNET, "ControlNet for SD 3", (_BLOCKS, "pos_embed_input.proj.weight"), "sd3"),
    Signature(_CONTROLNET, "ControlNet for SD 3.5", (_BLOCKS, "transformer_blocks.0.adaLN_modulation.1.weight"), "sd3", (), "3.5 large"),
    Signature(_CONTROLNET, "ControlNet for Qwen-Image", (_X, "transformer_blocks.0.img_mod.1.weight"), "qwen"),
    Signature(_CONTROLNET, "blockwise ControlNet for Qwen-Image", ("controlnet_blocks.0.input_proj.weight", "img_in.weight"), "qwen", ("blockwise",)),
    Signature(_CONTROLNET, "union ControlNet for Flux: embeddings of modes", (_X, "controlnet_mode_embedder.weight"), "flux", ("union",)),
    Signature(_CONTROLNET, "ControlNet for Flux", (_X, "transformer_blocks.0.norm1_context.linear.weight"), "flux"),
    Signature(_CONTROLNET, "ControlNet for Flux", (_X, "transformer_blocks.0.attn.add_k_proj.weight"), "flux"),
    Signature(_CONTROLNET, "ControlNet for HunyuanDiT", (_BLOCKS, "input_block.weight"), "hunyuan"),
    Signature(_CONTROLNET, "ControlNet for HunyuanDiT", ("after_proj_list.0.weight", "before_proj.weight"), "hunyuan"),
    Signature(_CONTROLNET, "ControlNet for Sana", (_BLOCKS, "patch_embed.proj.weight", "caption_norm.weight"), "sana"),
    Signature(_CONTROLNET, "ControlNet for SD 3", (_BLOCKS, "transformer_blocks.0.attn.to_q.weight"), "sd3"),
    Signature(_CONTROLNET, "control layers for Z-Image", ("control_layers.0.after_proj.weight",), "zimage", (), None, ("layers.0.attention.qkv.weight", "layers.0.attention.to_q.weight")),
    Signature(_T2I, "a T2I adapter", ("body.0.in_conv.weight",), "sd1", ("light",)),
    Signature(_T2I, "a T2I adapter as diffusers saves it", ("adapter.body.0.resnets.0.block1.weight",)),
    Signature(_T2I, "a light T2I adapter as diffusers saves it", ("adapter.body.0.in_conv.weight",), "sd1", ("light",)),
    Signature(_T2I, "a T2I adapter", ("conv_in.weight", "body.0.block1.weight", "body.0.block2.weight")),
    Signature(_T2I, "a T2I adapter", ("adapter.conv_in.weight", "adapter.body.0.block1.weight")),
    Signature(_T2I, "the style adapter among the T2I adapters", ("style_embedding", "ln_post.weight", "proj"), "sd1", ("style",)),
    Signature(_CONTROLNET, "ControlNet of Stable Cascade", ("backbone.0.0.weight", "projections.0.0.weight"), "cascade"),
    Signature(_CONTROLNET, "ControlNet of Stable Cascade", ("backbone.10.blocks.0.weight",), "cascade"),
)
# fmt: on
_ORIGINAL = Signature(_CONTROLNET, "ControlNet", (_HINT, "zero_convs.0.0.weight"))
_WIDTHS: tuple[Width, ...] = (
    *(
        Width(f"{block}.transformer_blocks.0.attn2.to_k.{weight}", 1, _CROSS, _SAYS)
        for weight in ("weight", "down")
        for block in (
            *("input_blocks.1.1", "input_blocks.2.1", "input_blocks.4.1"),
            *("down_blocks.0.attentions.0", "down_blocks.1.attentions.0", "middle_block.1"),
            "mid_block.attentions.0",
        )
    ),
    Width("label_emb.0.0.weight", 1, {2816: "sdxl"}, "vector condition of"),
    Width("add_embedding.linear_1.weight", 1, {2816: "sdxl"}, "vector condition of"),
    Width("ctrl_cross_attn.weight", 1, _CROSS, _SAYS),
)
# The adapters for SDXL unshuffle the image by 16 instead of 8: 3 x 16 x 16, or 16 x 16 of grey.
_T2I_WIDTHS: tuple[Width, ...] = tuple(
    Width(key, 1, {192: "sd1", 64: "sd1", 768: "sdxl", 256: "sdxl"}, "channels after unshuffling")
    for key in ("conv_in.weight", "adapter.conv_in.weight")
)
_LLLITE = "lllite_"
_DEEP_LLLITE = "lllite_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.down.0.weight"


def identify_control(header: Header) -> Identity | None:
    """The ControlNet or T2I adapter in `header`, or None when it is none."""
    tensors = header.tensors
    line = first_of(_TABLE, tensors)
    if line is not None:
        widths = _T2I_WIDTHS if line.kind is _T2I else _WIDTHS
        told = by_width(widths, tensors) if line.architecture is None else None
        return identity(header, line, told=told)
    for prefix in ("", "control_model."):
        line = first_of((_ORIGINAL,), tensors, prefix)
        if line is not None:
            told = by_width(_WIDTHS, tensors, prefix)
            return identity(header, line, told=told, prefix=prefix, variants=_channels(tensors))
    first = next(iter(tensors))
    return _lllite(header, first) if first.startswith(_LLLITE) else None


def _channels(tensors: Tensors) -> tuple[str, ...]:
    """Whether only the difference to a model is kept."""
    return ("difference",) if "difference" in tensors else ()


def _lllite(header: Header, first: str) -> Identity:
    line = Signature(_CONTROLNET, "a ControlNet-LLLite", (first,), None, ("lllite",))
    if first.startswith("lllite_dit"):
        return identity(header, line)
    deep = _DEEP_LLLITE in header.tensors
    because = (
        f"several transformers in a block ({_DEEP_LLLITE})"
        if deep
        else "kohya's trainer makes them for SDXL alone"
    )
    told = "sdxl", Evidence("architecture", "sdxl", because, certain=deep)
    return identity(header, line, told=told)
