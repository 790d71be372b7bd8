"""One part of a checkpoint, under the names that it has in a file of its own.

A VAE alone is named as in ``first_stage_model.`` without that; a diffusion model without
``model.diffusion_model.``; a CLIP of SD 1.x and the first of SDXL as transformers names it
(``text_model.``), an OpenCLIP as open_clip does (``transformer.resblocks.``): so do
comfyanonymous/ComfyUI ``comfy/sd.py`` (``load_text_encoder_state_dicts``, ``VAE``,
``load_diffusion_model_state_dict``) and AUTOMATIC1111/stable-diffusion-webui
``modules/sd_vae.py`` read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from modelhub.convert.options import Extract
from modelhub.convert.plan.draft import MARKS, Draft, Entry
from modelhub.convert.plan.ema import is_ema
from modelhub.convert.plan.pruning import is_loss
from modelhub.convert.plan.wording import some
from modelhub.convert.planning import Reason
from modelhub.errors import ConversionRefused
from modelhub.formats.identify.parts import MOST_PARTS, Role

_ROLES = {Extract.VAE: Role.VAE, Extract.UNET: Role.UNET}
_NOUNS = {Role.VAE: "VAE", Role.UNET: "diffusion model", Role.TEXT_ENCODER: "text encoder"}

VAE_PREFIXES: Final = ("first_stage_model.", "vae.")
"""Of a VAE within a checkpoint."""


class _Encoder(NamedTuple):
    prefix: str
    name: Extract | None
    """None where that depends on the model: it is told by being the only one."""


_ENCODERS = (
    _Encoder("cond_stage_model.transformer.", Extract.CLIP_L),
    _Encoder("cond_stage_model.model.", None),
    _Encoder("cond_stage_model.", None),
    _Encoder("conditioner.embedders.0.transformer.", Extract.CLIP_L),
    _Encoder("conditioner.embedders.0.model.", Extract.CLIP_G),
    _Encoder("conditioner.embedders.1.model.", Extract.CLIP_G),
    _Encoder("text_encoders.clip_l.transformer.", Extract.CLIP_L),
    _Encoder("text_encoders.clip_l.", Extract.CLIP_L),
    _Encoder("text_encoders.clip_g.transformer.", Extract.CLIP_G),
    _Encoder("text_encoders.clip_g.", Extract.CLIP_G),
    _Encoder("text_encoders.t5xxl.transformer.", Extract.T5XXL),
    _Encoder("text_encoders.t5xxl.", Extract.T5XXL),
)
"""The prefixes of text encoders, the longer before the shorter. Sources: CompVis/stable-diffusion
``ldm/modules/encoders/modules.py``; Stability-AI/generative-models ``sgm/modules/encoders``;
comfyanonymous/ComfyUI ``comfy/supported_models.py``."""


def extract(draft: Draft, wanted: Extract) -> None:
    """Keep the one part, and take its prefix off.

    :raises ConversionRefused: it is not there, or there are several of the kind.
    """
    draft.words.append(f"{wanted.value} extracted")
    if wanted in _ROLES:
        _extract_role(draft, _ROLES[wanted])
    else:
        _extract_encoder(draft, wanted)


def _extract_role(draft: Draft, role: Role) -> None:
    draft.drop(lambda one: is_ema(one.name), Reason.EMA)
    draft.drop(lambda one: is_loss(one.name), Reason.JUNK)
    parts = list(dict.fromkeys(one.part for one in draft.entries if one.role is role))
    if not parts:
        raise _missing(draft, _NOUNS[role])
    if len(parts) > 1:
        raise ConversionRefused(
            f"{draft.source.path}: there are {len(parts)} parts of that kind: {some(parts)}",
            hint="convert the file as a whole",
        )
    kept = parts[0]
    # Loaders ask the file of a diffusion model alone how it was trained, too.
    marks = MARKS if role is Role.UNET else ()
    draft.drop(
        lambda one: (
            (one.role is not role or one.part != kept)
            and not (marks and one.name.startswith(marks))
        ),
        Reason.OTHER_PART,
    )
    for one in draft.entries:
        one.name = one.name.removeprefix(kept)


def _extract_encoder(draft: Draft, wanted: Extract) -> None:
    prefixes = list(
        dict.fromkeys(_prefix(one) for one in draft.entries if one.role is Role.TEXT_ENCODER)
    )
    if not prefixes:
        raise _missing(draft, _NOUNS[Role.TEXT_ENCODER])
    if len(prefixes) > MOST_PARTS:
        raise ConversionRefused(f"{draft.source.path}: {len(prefixes):,} text encoders in one file")
    prefix = _chosen(draft, wanted, _whole(prefixes))
    draft.drop(
        lambda one: one.role is not Role.TEXT_ENCODER or _prefix(one) != prefix, Reason.OTHER_PART
    )
    for one in draft.entries:
        one.name = one.name.removeprefix(prefix)


def _whole(prefixes: list[str]) -> list[str]:
    """Without what stands beside an encoder and is none: ``text_encoders.clip_l.logit_scale``."""
    return [
        one for one in prefixes if not any(two != one and two.startswith(one) for two in prefixes)
    ]


def _chosen(draft: Draft, wanted: Extract, prefixes: list[str]) -> str:
    if len(prefixes) == 1 and wanted is Extract.TEXT_ENCODER:
        return prefixes[0]
    named = {one: next((e.name for e in _ENCODERS if e.prefix == one), None) for one in prefixes}
    if wanted is Extract.TEXT_ENCODER:
        choice = [name.value if name else prefix for prefix, name in named.items()]
        raise ConversionRefused(
            f"{draft.source.path}: there are {len(prefixes)} text encoders: {some(choice)}",
            hint=f"choose one: {_options(named.values())}",
        )
    for prefix, name in named.items():
        if name is wanted:
            return prefix
    raise _missing(draft, f"text encoder {wanted.value}")


def _options(names: Iterable[Extract | None]) -> str:
    known = dict.fromkeys(f"--extract-{one.value}" for one in names if one is not None)
    return " or ".join(known) or "--to diffusers has each of them in a folder of its own"


def _prefix(one: Entry) -> str:
    for encoder in _ENCODERS:
        if one.name.startswith(encoder.prefix):
            return encoder.prefix
    return one.part


def _missing(draft: Draft, noun: str) -> ConversionRefused:
    return ConversionRefused(
        f"{draft.source.path}: there is no {noun} in it",
        hint="`modelhub inspect` shows which parts a file has",
    )
