"""Wan 2.1 and 2.2, models of video that make a single picture too: names, settings, two stages.

Wan 2.2's 14B are two transformers of one shape: one begins at high noise, the other finishes at low
noise. A file is one of them, and only its name says which.

Sources: ``Wan-Video/Wan2.1`` and ``Wan-Video/Wan2.2`` ``wan/modules`` and ``wan/configs``,
``huggingface/diffusers`` ``src/diffusers/loaders/single_file_utils.py``
(``convert_wan_transformer_to_diffusers``) and ``scripts/convert_wan_to_diffusers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from modelhub.convert.lora.wan_names import WAN_BLOCK, WAN_ENDS
from modelhub.convert.values import Planned
from modelhub.errors import CannotRender, FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes, heads
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.flow.renaming import Into, Rules, renamed

SECOND = "transformer_2"
"""The transformer that finishes at low noise, by its name in diffusers."""
OF_A_TEXT_ALONE = (None, "2.1 t2v 1.3B", "t2v 14B", "2.1 t2v 14B", "2.2 t2v 14B", "2.2 ti2v 5B")
"""Editions that ask for nothing beside a prompt. The 5B may be given a picture, and need not."""
BOUNDARY = 0.875
"""From that share of the noise on the first transformer computes: ``Wan-Video/Wan2.2``
``wan/configs/wan_t2v_A14B.py``."""
_HEAD = 128
"""Numbers of a head: ``num_heads`` of ``wan/configs``; no norm is of one head alone."""


def _one(name: str) -> Into:
    return Into((name,))


_EMBEDDER = "condition_embedder."
_IN_BLOCK = {
    **WAN_BLOCK,
    **{
        f"{old}.norm_{one}": f"{new}.norm_{one}"
        for old, new in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for one in "qk"
    },
    # The norms in the order of the computation, which is not that of their first names.
    "norm3": "norm2",
}
TRANSFORMER: Rules = {
    **{old: _one(new) for old, new in WAN_ENDS.items()},
    "head.modulation": _one("scale_shift_table"),
    "blocks.#": _one("blocks.#"),
    **{f"blocks.#.{old}": _one(f"blocks.#.{new}") for old, new in _IN_BLOCK.items()},
}
"""From the names of the makers, and of ComfyUI, to those of diffusers."""


def transformer_config(shapes: PartShapes) -> dict[str, Any]:
    """The configuration of a transformer.

    :param shapes: of its tensors, by the names of diffusers.
    :raises FormatError: tensors are missing, or it takes more channels than it gives: a picture
        or a video to begin with.
    """
    taken = "patch_embedding.weight"
    width, channels, *patch = (shapes.extent(taken, place) for place in range(5))
    given = shapes.extent("proj_out.weight") // prod(patch)
    if channels != given:
        raise FormatError(
            f"it takes {channels} channels and gives {given}: it wants a picture or a video "
            "beside the text",
            hint="",
        )
    number = heads(width, _HEAD)
    return {
        "patch_size": patch,
        "num_attention_heads": number,
        "attention_head_dim": width // number,
        "in_channels": channels,
        "out_channels": given,
        "text_dim": shapes.extent(f"{_EMBEDDER}text_embedder.linear_1.weight", 1),
        "freq_dim": shapes.extent(f"{_EMBEDDER}time_embedder.linear_1.weight", 1),
        "ffn_dim": shapes.extent("blocks.0.ffn.net.0.proj.weight"),
        "num_layers": shapes.number_of("blocks"),
        "cross_attn_norm": shapes.has("blocks.0.norm2"),
    }


_SHIFT = 5.0
"""``Wan-Video/Wan2.1`` ``generate.py``, for pictures of the 14B as for the 5B of 2.2
(``wan/configs/wan_ti2v_5B.py``)."""
_SHIFT_OF_SMALL = 8.0
"""``Wan-AI/Wan2.1-T2V-1.3B`` README: 8 to 12."""
_SHIFT_OF_BOTH = 12.0
"""``Wan-Video/Wan2.2`` ``wan/configs/wan_t2v_A14B.py``."""


def scheduler_config(identity: Identity, *, both: bool) -> dict[str, Any]:
    """The configuration of the scheduler.

    :param both: both transformers of Wan 2.2 are there. One alone is used as that of Wan 2.1.
    """
    shift = _SHIFT_OF_SMALL if identity.edition == "2.1 t2v 1.3B" else _SHIFT
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": _SHIFT_OF_BOTH if both else shift,
    }


def require_order(first: Identity, second: Identity, path: str) -> None:
    """Refuse a second transformer that is none, or that is to begin by its name.

    :param first: what the recipe's model is.
    :param second: what the file given as :data:`SECOND` is; `path` is that file.
    :raises CannotRender: it is.
    """
    if second.architecture != "wan" or second.edition not in OF_A_TEXT_ALONE:
        raise CannotRender(
            f"{path}, given as {SECOND}, is no transformer of Wan that makes videos of a text",
            hint="give the low-noise file of Wan 2.2",
        )
    if "low-noise" in first.variants or "high-noise" in second.variants:
        raise CannotRender(
            f"{path} is given as {SECOND}, which finishes at low noise, and by the names of the "
            "files it is the other way round",
            hint=f"render the high-noise file, with `--part {SECOND}=` and the low-noise file",
        )


def notice_of_one(identity: Identity) -> str | None:
    """What is to be said of one transformer that is used for all steps; None of Wan 2.1's.

    :param identity: of it.
    """
    if "high-noise" in identity.variants:
        return (
            "rendered by the high-noise half of Wan 2.2 alone, which begins pictures and was not "
            f"trained to finish them: `--part {SECOND}=FILE` with the low-noise file does"
        )
    if "low-noise" in identity.variants:
        return (
            "rendered by the low-noise half of Wan 2.2 alone: render the high-noise file, with "
            f"`--part {SECOND}=` and this one, to have both as they were published"
        )
    if identity.edition == "2.2 t2v 14B":
        return (
            "rendered by one of the two transformers of Wan 2.2 alone: `--part "
            f"{SECOND}=FILE` gives the high-noise one its low-noise one"
        )
    return None


_T5 = "encoder.block.#.layer"
_UMT5: Rules = {
    "token_embedding": _one("shared"),
    "norm": _one("encoder.final_layer_norm"),
    "blocks.#.norm1": _one(f"{_T5}.0.layer_norm"),
    **{f"blocks.#.attn.{one}": _one(f"{_T5}.0.SelfAttention.{one}") for one in "qkvo"},
    "blocks.#.pos_embedding.embedding": _one(f"{_T5}.0.SelfAttention.relative_attention_bias"),
    "blocks.#.norm2": _one(f"{_T5}.1.layer_norm"),
    "blocks.#.ffn.gate.0": _one(f"{_T5}.1.DenseReluDense.wi_0"),
    "blocks.#.ffn.fc1": _one(f"{_T5}.1.DenseReluDense.wi_1"),
    "blocks.#.ffn.fc2": _one(f"{_T5}.1.DenseReluDense.wo"),
}
"""UMT5 as Wan publishes it (``wan/modules/t5.py``), under the names of transformers."""


def as_transformers_names(tensors: Mapping[str, Planned]) -> Mapping[str, Planned]:
    """The tensors of a UMT5 of Wan's own names as transformers has them; others as they are."""
    if "token_embedding.weight" not in tensors or "blocks.0.attn.q.weight" not in tensors:
        return tensors
    return {one.name: one for one in renamed(_UMT5, tensors, 0)}
