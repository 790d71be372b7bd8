"""Under which names single files have the layers of these transformers, and diffusers has them.

The correspondence is that of ``huggingface/diffusers``
``src/diffusers/loaders/single_file_utils.py`` (``convert_..._checkpoint_to_diffusers``), here for
any width.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from modelhub.convert.lora.names import FLUX_DOUBLE
from modelhub.render.pipelines.flow.flux2 import FLUX2
from modelhub.render.pipelines.flow.krea2 import KREA2
from modelhub.render.pipelines.flow.qwen21 import QWEN21
from modelhub.render.pipelines.flow.renaming import Cut, Into, Rules
from modelhub.render.pipelines.flow.sana import TRANSFORMER as _SANA
from modelhub.render.pipelines.flow.wan import TRANSFORMER as _WAN


def _one(name: str) -> Into:
    return Into((name,))


def _under(prefix: str, names: Mapping[str, str], old: str = "") -> dict[str, Into]:
    """Layers of a block: by what follows the block's name in both layouts."""
    return {f"{old or prefix}{key}": _one(f"{prefix}{value}") for key, value in names.items()}


def _three(block: str, *names: str) -> Into:
    return Into(tuple(f"{block}{name}" for name in names))


_SWAPPED_END = {
    "final_layer.linear": _one("proj_out"),
    "final_layer.adaLN_modulation.1": Into(("norm_out.linear",), Cut.SWAPPED),
}

_TO = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_BLOCK = "transformer_blocks.#."
_SD3_BLOCK = "joint_blocks.#."
_SD3: Rules = {
    **_SWAPPED_END,
    "pos_embed": _one("pos_embed.pos_embed"),
    "x_embedder.proj": _one("pos_embed.proj"),
    "t_embedder.mlp.0": _one("time_text_embed.timestep_embedder.linear_1"),
    "t_embedder.mlp.2": _one("time_text_embed.timestep_embedder.linear_2"),
    "y_embedder.mlp.0": _one("time_text_embed.text_embedder.linear_1"),
    "y_embedder.mlp.2": _one("time_text_embed.text_embedder.linear_2"),
    f"{_SD3_BLOCK}x_block.attn.qkv": _three(f"{_BLOCK}attn.", *_TO),
    f"{_SD3_BLOCK}x_block.attn2.qkv": _three(f"{_BLOCK}attn2.", *_TO),
    f"{_SD3_BLOCK}context_block.attn.qkv": _three(f"{_BLOCK}attn.", *_ADDED),
    **_under(
        _BLOCK,
        {
            "x_block.attn.ln_q": "attn.norm_q",
            "x_block.attn.ln_k": "attn.norm_k",
            "x_block.attn.proj": "attn.to_out.0",
            "x_block.attn2.ln_q": "attn2.norm_q",
            "x_block.attn2.ln_k": "attn2.norm_k",
            "x_block.attn2.proj": "attn2.to_out.0",
            "x_block.adaLN_modulation.1": "norm1.linear",
            "x_block.mlp.fc1": "ff.net.0.proj",
            "x_block.mlp.fc2": "ff.net.2",
            "context_block.attn.ln_q": "attn.norm_added_q",
            "context_block.attn.ln_k": "attn.norm_added_k",
            "context_block.attn.proj": "attn.to_add_out",
            "context_block.adaLN_modulation.1": "norm1_context.linear",
            "context_block.mlp.fc1": "ff_context.net.0.proj",
            "context_block.mlp.fc2": "ff_context.net.2",
        },
        _SD3_BLOCK,
    ),
}

_SINGLE = "single_transformer_blocks.#."
_FLUX_DOUBLE_LAYERS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    **FLUX_DOUBLE,
}
_FLUX_BLOCKS: Rules = {
    "double_blocks.#.img_attn.qkv": _three(f"{_BLOCK}attn.", *_TO),
    "double_blocks.#.txt_attn.qkv": _three(f"{_BLOCK}attn.", *_ADDED),
    **_under(_BLOCK, _FLUX_DOUBLE_LAYERS, "double_blocks.#."),
    "single_blocks.#.linear1": Into(
        (*(f"{_SINGLE}attn.{name}" for name in _TO), f"{_SINGLE}proj_mlp"), Cut.THREE_AND_REST
    ),
    "single_blocks.#.linear2": _one(f"{_SINGLE}proj_out"),
    "single_blocks.#.modulation.lin": _one(f"{_SINGLE}norm.linear"),
    "single_blocks.#.norm.query_norm": _one(f"{_SINGLE}attn.norm_q"),
    "single_blocks.#.norm.key_norm": _one(f"{_SINGLE}attn.norm_k"),
    "img_in": _one("x_embedder"),
    "txt_in": _one("context_embedder"),
}
_FLUX_EMBEDDERS = {
    "time_in": "timestep_embedder",
    "vector_in": "text_embedder",
    "guidance_in": "guidance_embedder",
}
_FLUX: Rules = {
    **_FLUX_BLOCKS,
    **_SWAPPED_END,
    **{
        f"{old}.{layer}": _one(f"time_text_embed.{new}.{name}")
        for old, new in _FLUX_EMBEDDERS.items()
        for layer, name in (("in_layer", "linear_1"), ("out_layer", "linear_2"))
    },
}
_GUIDANCE = "distilled_guidance_layer."
_CHROMA: Rules = {
    **_FLUX_BLOCKS,
    "final_layer.linear": _one("proj_out"),
    f"{_GUIDANCE}layers.#.in_layer": _one(f"{_GUIDANCE}layers.#.linear_1"),
    f"{_GUIDANCE}layers.#.out_layer": _one(f"{_GUIDANCE}layers.#.linear_2"),
    f"{_GUIDANCE}norms.#": _one(f"{_GUIDANCE}norms.#"),
}

_REFINED = ("layers.#.", "noise_refiner.#.", "context_refiner.#.")
_Z_IMAGE: Rules = {
    "x_embedder": _one("all_x_embedder.2-1"),
    "final_layer.linear": _one("all_final_layer.2-1.linear"),
    "final_layer.adaLN_modulation.1": _one("all_final_layer.2-1.adaLN_modulation.1"),
    "norm_final": Into(()),
    **{
        key: into
        for block in _REFINED
        for key, into in {
            f"{block}attention.qkv": _three(f"{block}attention.", *_TO),
            f"{block}attention.out": _one(f"{block}attention.to_out.0"),
            f"{block}attention.q_norm": _one(f"{block}attention.norm_q"),
            f"{block}attention.k_norm": _one(f"{block}attention.norm_k"),
        }.items()
    },
}

_LUMINA_LAYERS = {
    "attention.out": "attn.to_out.0",
    "attention.q_norm": "attn.norm_q",
    "attention.k_norm": "attn.norm_k",
    "feed_forward.w1": "feed_forward.linear_1",
    "feed_forward.w2": "feed_forward.linear_2",
    "feed_forward.w3": "feed_forward.linear_3",
    "adaLN_modulation.1": "norm1.linear",
    "attention_norm1": "norm1.norm",
    "attention_norm2": "norm2",
}
_CAPTIONED = "time_caption_embed."
_LUMINA: Rules = {
    "norm_final": Into(()),
    "cap_embedder.0": _one(f"{_CAPTIONED}caption_embedder.0"),
    "cap_embedder.1": _one(f"{_CAPTIONED}caption_embedder.1"),
    "t_embedder.mlp.0": _one(f"{_CAPTIONED}timestep_embedder.linear_1"),
    "t_embedder.mlp.2": _one(f"{_CAPTIONED}timestep_embedder.linear_2"),
    "final_layer.adaLN_modulation.1": _one("norm_out.linear_1"),
    "final_layer.linear": _one("norm_out.linear_2"),
    **{
        f"{block}attention.qkv": Into(tuple(f"{block}attn.{name}" for name in _TO), Cut.ONE_AND_TWO)
        for block in _REFINED
    },
    **{key: into for block in _REFINED for key, into in _under(block, _LUMINA_LAYERS).items()},
    "context_refiner.#.attention_norm1": _one("context_refiner.#.norm1"),
}

_GATED = {"c_fc1": "linear_1", "c_fc2": "linear_2", "c_proj": "out_projection"}
_AURA_DOUBLE = {
    **{f"mlpX.{old}": f"ff.{new}" for old, new in _GATED.items()},
    **{f"mlpC.{old}": f"ff_context.{new}" for old, new in _GATED.items()},
    "modX.1": "norm1.linear",
    "modC.1": "norm1_context.linear",
    **dict(zip(("attn.w2q", "attn.w2k", "attn.w2v"), (f"attn.{one}" for one in _TO), strict=True)),
    **dict(
        zip(("attn.w1q", "attn.w1k", "attn.w1v"), (f"attn.{one}" for one in _ADDED), strict=True)
    ),
    "attn.w2o": "attn.to_out.0",
    "attn.w1o": "attn.to_add_out",
}
_AURA_SINGLE = {
    **{f"mlp.{old}": f"ff.{new}" for old, new in _GATED.items()},
    "modCX.1": "norm1.linear",
    **dict(zip(("attn.w1q", "attn.w1k", "attn.w1v"), (f"attn.{one}" for one in _TO), strict=True)),
    "attn.w1o": "attn.to_out.0",
}
_AURA: Rules = {
    "positional_encoding": _one("pos_embed.pos_embed"),
    "init_x_linear": _one("pos_embed.proj"),
    "t_embedder.mlp.0": _one("time_step_proj.linear_1"),
    "t_embedder.mlp.2": _one("time_step_proj.linear_2"),
    "cond_seq_linear": _one("context_embedder"),
    "final_linear": _one("proj_out"),
    "modF.1": Into(("norm_out.linear",), Cut.SWAPPED),
    **_under("joint_transformer_blocks.#.", _AURA_DOUBLE, "double_layers.#."),
    **_under(_SINGLE, _AURA_SINGLE, "single_layers.#."),
}

_QWEN: Rules = {"__index_timestep_zero__": Into(())}
"""Diffusers' names throughout; a mark says that edited pictures stand at the last time step."""

_RULES: Mapping[str, tuple[str, Rules]] = {
    "sd3": ("joint_blocks.", _SD3),
    "flux": ("double_blocks.", _FLUX),
    "flux2": ("double_blocks.", FLUX2),
    "chroma": ("double_blocks.", _CHROMA),
    "zimage": ("x_embedder.", _Z_IMAGE),
    "lumina": ("cap_embedder.", _LUMINA),
    "auraflow": ("double_layers.", _AURA),
    "qwen": ("__", _QWEN),
    "qwen21": ("transformer_blocks.", QWEN21),
    "krea2": ("txtfusion.", KREA2),
    "wan": ("head.", _WAN),
    "sana": ("x_embedder.", _SANA),
    "hidream": ("__", {}),
}


def original_rules(architecture: str) -> Rules:
    """How the original code of an architecture names its layers, whatever names a file has."""
    return _RULES[architecture][1] if architecture in _RULES else {}


def rules_for(architecture: str, names: Collection[str]) -> Rules:
    """How the tensors of a transformer are renamed; no rules where they have diffusers' names.

    :param names: of its tensors, without a prefix.
    """
    told_by, rules = _RULES[architecture]
    if not any(name.startswith(told_by) for name in names):
        return {}
    if architecture != "sd3":
        return rules
    # Of the context in the last block only the norm is left, and that has scale and shift swapped.
    last = max((int(number) for name in names if (number := _number(name)).isdecimal()), default=0)
    return {
        **rules,
        f"joint_blocks.{last}.context_block.adaLN_modulation.1": Into(
            (f"transformer_blocks.{last}.norm1_context.linear",), Cut.SWAPPED
        ),
    }


def _number(name: str) -> str:
    block, _, rest = name.partition(".")
    return rest.partition(".")[0][:4] if block == "joint_blocks" else ""
