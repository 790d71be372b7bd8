"""Names that programs cannot find, mended: wrappers of training code, and lost prefixes.

Sources: AUTOMATIC1111/stable-diffusion-webui ``modules/sd_models.py``
(``checkpoint_dict_replacements_sd1``), arenasys/stable-diffusion-webui-model-toolkit
``toolkit.py`` (``fix_model``; its architectures ``*-BROKEN`` are parts without their prefix),
chaiNNer-org/spandrel ``canonicalize.py`` (wrappers of upscalers), pytorch
``torch/_dynamo/eval_frame.py`` (``_orig_mod``) and ``torch/nn/parallel`` (``module``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from modelhub.convert.plan.draft import Draft
from modelhub.convert.plan.positions import Positions, are_damaged
from modelhub.convert.plan.wording import some

FIXED: Final = "fixed: "
"""How the notice of each fix begins."""

_WRAPPERS = (
    "module.", "_orig_mod.", "state_dict.", "model_state_dict.", "params_ema.", "params.", "netG.",
)  # fmt: skip
"""What wraps a whole model, and that no loader looks for in a safetensors file."""
_MOST_WRAPPERS = 4
_COMPILED = "._orig_mod."

_CLIP = "cond_stage_model.transformer."
_CLIP_PARTS = ("embeddings.", "encoder.", "final_layer_norm.")
_PARTS = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner.")


class _Lost(NamedTuple):
    """A part whose prefix is lost: told by one tensor, and how its names begin."""

    sign: str
    starts: tuple[str, ...]
    prefix: str
    place: tuple[str, ...]
    """Where it belongs: what begins so is there in its place already."""


_LOST = (
    _Lost(
        "input_blocks.0.0.weight",
        ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out."),
        "model.diffusion_model.",
        ("model.diffusion_model.",),
    ),
    _Lost(
        "diffusion_model.input_blocks.0.0.weight",
        ("diffusion_model.",),
        "model.",
        ("model.diffusion_model.",),
    ),
    _Lost(
        "decoder.conv_in.weight",
        ("encoder.", "decoder.", "quant_conv.", "post_quant_conv."),
        "first_stage_model.",
        ("first_stage_model.", "vae."),
    ),
    _Lost(
        "text_model.embeddings.token_embedding.weight",
        ("text_model.",),
        "cond_stage_model.transformer.",
        ("cond_stage_model.", "conditioner."),
    ),
)


def fix_names(draft: Draft) -> None:
    """Take wrappers off the names and give lost prefixes back; a notice tells of each."""
    _unwrap(draft)
    _rename(draft, _uncompiled, "took _orig_mod out of {} names")
    _give_prefixes_back(draft)
    _rename(draft, _clip_named, "put text_model into {} names of the text encoder")


def fix_positions(draft: Draft) -> None:
    """Make whole numbers of ``position_ids`` of another type."""
    damaged = [one for one in draft.entries if are_damaged(one.name, one.values)]
    if damaged:
        types = ", ".join(sorted({one.values.dtype for one in damaged}))
        named = some([one.name for one in damaged])
        draft.notices.append(f"{FIXED}made whole numbers (I64) of positions in {types}: {named}")
    for one in damaged:
        one.values = Positions(one.values)
        one.dtype = one.values.dtype


def _unwrap(draft: Draft) -> None:
    for _ in range(_MOST_WRAPPERS):
        wrapper = _common(_WRAPPERS, (one.name for one in draft.entries))
        if wrapper is None:
            return
        _rename(draft, partial(_without, wrapper), f"took {wrapper} off {{}} names")


def _common(wrappers: Iterable[str], names: Iterable[str]) -> str | None:
    """The wrapper that all names have, where more than itself is left of each."""
    every = list(names)
    for wrapper in wrappers:
        if every and all(one.startswith(wrapper) and len(one) > len(wrapper) for one in every):
            return wrapper
    return None


def _give_prefixes_back(draft: Draft) -> None:
    names = draft.names()
    if not any(name.startswith(_PARTS) for name in names):
        return
    for lost in _LOST:
        if lost.sign not in names or any(name.startswith(lost.place) for name in names):
            continue
        _rename(
            draft,
            partial(_found, lost),
            f"put {lost.prefix} before {{}} names that had lost it",
        )


def _rename(draft: Draft, renamed: Callable[[str], str | None], told: str) -> None:
    """Give new names where `renamed` has one and nothing else is called so."""
    names = draft.names()
    count = 0
    for one in draft.entries:
        new = renamed(one.name)
        if new is not None and new not in names:
            names.discard(one.name)
            names.add(new)
            one.name = new
            count += 1
    if count:
        draft.notices.append(f"{FIXED}{told.format(count)}")


def _without(wrapper: str, name: str) -> str:
    return name[len(wrapper) :]


def _uncompiled(name: str) -> str | None:
    return name.replace(_COMPILED, ".") if _COMPILED in name else None


def _found(lost: _Lost, name: str) -> str | None:
    return lost.prefix + name if name.startswith(lost.starts) else None


def _clip_named(name: str) -> str | None:
    if not name.startswith(_CLIP) or not name[len(_CLIP) :].startswith(_CLIP_PARTS):
        return None
    return f"{_CLIP}text_model.{name[len(_CLIP) :]}"
