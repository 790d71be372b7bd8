"""The parts of a file: which tensors are the diffusion model, the VAE, the text encoders, the EMA.

A full checkpoint names its parts by prefix (``model.diffusion_model.``, ``first_stage_model.``);
a diffusers folder by sub-folder (``unet/``); a file with one component has no prefix at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod

from modelhub.formats.tensors import Tensor


class Role(StrEnum):
    """What a part is for; the values are those of ``Identity.precisions``."""

    UNET = "unet"
    """The diffusion model, a transformer too."""
    VAE = "vae"
    TEXT_ENCODER = "text encoder"
    IMAGE_ENCODER = "image encoder"
    EMA = "ema"
    DEPTH = "depth model"
    CONTROL = "control model"
    SCHEDULE = "schedule"
    """Numbers of the noise schedule, which every program computes for itself."""
    BARE = "rest"
    """What has no prefix of a part: the whole of a file with one component."""


@dataclass(slots=True)
class Part:
    """The tensors under one prefix, counted."""

    prefix: str
    role: Role
    count: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    """How many numbers are stored, by type of the tensors."""


# Prefix, how many of its components belong to the part's name, what the part is. The prefixes are
# those of the public loaders: huggingface/diffusers single_file_utils.py, comfyanonymous/ComfyUI
# supported_models.py, Stability-AI/generative-models sgm/models/diffusion.py.
_PREFIXES: tuple[tuple[str, int, Role], ...] = (
    ("model.diffusion_model.", 2, Role.UNET),
    ("diffusion_model.", 1, Role.UNET),
    ("unet.", 1, Role.UNET),
    ("model_ema.", 1, Role.EMA),
    ("first_stage_model.", 1, Role.VAE),
    ("vae.", 1, Role.VAE),
    ("audio_vae.", 1, Role.VAE),
    ("cond_stage_model.", 1, Role.TEXT_ENCODER),
    ("conditioner.embedders.", 3, Role.TEXT_ENCODER),
    ("text_encoders.", 2, Role.TEXT_ENCODER),
    ("text_encoder.", 1, Role.TEXT_ENCODER),
    ("text_encoder_2.", 1, Role.TEXT_ENCODER),
    ("text_encoder_3.", 1, Role.TEXT_ENCODER),
    ("embedder.", 1, Role.IMAGE_ENCODER),
    ("image_encoder.", 1, Role.IMAGE_ENCODER),
    ("clip_vision.", 1, Role.IMAGE_ENCODER),
    ("depth_model.", 1, Role.DEPTH),
    ("control_model.", 1, Role.CONTROL),
    ("denoiser.", 1, Role.SCHEDULE),
)
_BY_TOP: dict[str, list[tuple[str, int, Role]]] = {}
for _line in _PREFIXES:
    _BY_TOP.setdefault(_line[0].split(".", 1)[0], []).append(_line)

# Buffers of CompVis/stable-diffusion ldm/models/diffusion/ddpm.py, register_schedule.
_SCHEDULE = frozenset(
    {
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "lvlb_weights",
        "logvar",
        "scale_factor",
        "edm_mean",
        "edm_std",
    }
)

MOST_PARTS = 64
"""A file with more is none that any program reads; what is beyond counts as bare."""
_LONGEST_PREFIX = 100

_BARE = ("", Role.BARE)
_SCHEDULED = ("", Role.SCHEDULE)

# Sub-folders of huggingface/diffusers pipelines.
_FOLDERS: dict[str, Role] = {
    "unet": Role.UNET,
    "transformer": Role.UNET,
    "transformer_2": Role.UNET,
    "prior": Role.UNET,
    "decoder": Role.UNET,
    "vae": Role.VAE,
    "movq": Role.VAE,
    "vqgan": Role.VAE,
    "vqvae": Role.VAE,
    "text_encoder": Role.TEXT_ENCODER,
    "text_encoder_2": Role.TEXT_ENCODER,
    "text_encoder_3": Role.TEXT_ENCODER,
    "text_encoder_4": Role.TEXT_ENCODER,
    "image_encoder": Role.IMAGE_ENCODER,
    "controlnet": Role.CONTROL,
    "safety_checker": Role.BARE,
}


def parts_of(tensors: Mapping[str, Tensor], *, folders: bool = False) -> list[Part]:
    """The parts of a file in the order in which they turn up, their numbers counted.

    :param folders: names are ``<folder>/<name>``, as of a diffusers folder.
    """
    found: dict[tuple[str, Role], Part] = {}
    part = Part("", Role.BARE)
    numbers = part.numbers
    for name, tensor in tensors.items():
        # Files keep their parts together: most names go on with the prefix of the one before.
        if folders or part.prefix == "" or not name.startswith(part.prefix):
            prefix, role = _folder(name) if folders else _prefix(name)
            if role is not part.role or prefix != part.prefix or not part.count:
                if len(found) >= MOST_PARTS and (prefix, role) not in found:
                    prefix, role = _BARE
                part = found.setdefault((prefix, role), Part(prefix, role))
                numbers = part.numbers
        part.count += 1
        numbers[tensor.dtype] = numbers.get(tensor.dtype, 0) + prod(tensor.shape)
    return list(found.values())


def _prefix(name: str) -> tuple[str, Role]:
    lines = _BY_TOP.get(name[: name.find(".")])
    if lines is None:
        return _SCHEDULED if name in _SCHEDULE else _BARE
    for prefix, depth, role in lines:
        if name.startswith(prefix):
            if depth > prefix.count("."):
                prefix = f"{'.'.join(name.split('.', depth)[:depth])}."
            return (prefix, role) if len(prefix) <= _LONGEST_PREFIX else _BARE
    return _BARE


def _folder(name: str) -> tuple[str, Role]:
    folder, slash, _ = name.partition("/")
    if not slash or len(folder) > _LONGEST_PREFIX:
        return _BARE
    return f"{folder}/", _FOLDERS.get(folder, Role.BARE)
