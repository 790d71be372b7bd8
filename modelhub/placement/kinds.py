"""What a published file is for, told from Civitai's model type and file type.

Both are open strings: the site adds new ones (`GET /api/v1/enums`), so an unknown one must land
somewhere sensible instead of failing.
"""

from __future__ import annotations

from enum import StrEnum

from modelhub.placement.names import split_name


class Kind(StrEnum):
    """What tools keep in one folder; the value is how templates write it."""

    CHECKPOINT = "checkpoint"
    DIFFUSION_MODEL = "diffusion model"
    LORA = "lora"
    VAE = "vae"
    TEXT_ENCODER = "text encoder"
    CLIP_VISION = "clip vision"
    EMBEDDING = "embedding"
    HYPERNETWORK = "hypernetwork"
    AESTHETIC_GRADIENT = "aesthetic gradient"
    CONTROLNET = "controlnet"
    UPSCALER = "upscaler"
    MOTION_MODULE = "motion module"
    DETECTION = "detection"
    VISION_LANGUAGE = "vision language"
    POSES = "poses"
    WILDCARDS = "wildcards"
    WORKFLOW = "workflow"
    CONFIG = "config"
    TRAINING_DATA = "training data"
    ARCHIVE = "archive"
    OTHER = "other"


_BY_MODEL_TYPE = {
    "checkpoint": Kind.CHECKPOINT,
    "textualinversion": Kind.EMBEDDING,
    "hypernetwork": Kind.HYPERNETWORK,
    "aestheticgradient": Kind.AESTHETIC_GRADIENT,
    "lora": Kind.LORA,
    "locon": Kind.LORA,
    "dora": Kind.LORA,
    "controlnet": Kind.CONTROLNET,
    "upscaler": Kind.UPSCALER,
    "motionmodule": Kind.MOTION_MODULE,
    "vae": Kind.VAE,
    "textencoder": Kind.TEXT_ENCODER,
    "clip": Kind.TEXT_ENCODER,
    "unet": Kind.DIFFUSION_MODEL,
    "diffusionmodel": Kind.DIFFUSION_MODEL,
    "clipvision": Kind.CLIP_VISION,
    "visionlanguage": Kind.VISION_LANGUAGE,
    "poses": Kind.POSES,
    "wildcards": Kind.WILDCARDS,
    "workflows": Kind.WORKFLOW,
    "detection": Kind.DETECTION,
}

_BY_FILE_TYPE = {
    "textencoder": Kind.TEXT_ENCODER,
    "visionencoder": Kind.CLIP_VISION,
    "clipvision": Kind.CLIP_VISION,
    "trainingdata": Kind.TRAINING_DATA,
    "vae": Kind.VAE,
    "config": Kind.CONFIG,
    "archive": Kind.ARCHIVE,
    "unet": Kind.DIFFUSION_MODEL,
    "diffusionmodel": Kind.DIFFUSION_MODEL,
    "controlnet": Kind.CONTROLNET,
    "workflow": Kind.WORKFLOW,
    "upscaler": Kind.UPSCALER,
    "enhancementlora": Kind.LORA,
    "other": Kind.OTHER,
}

_MAIN_WEIGHTS = frozenset(("", "model", "prunedmodel", "negative"))
_PUBLISHED_AS_ARCHIVES = frozenset((Kind.POSES, Kind.WILDCARDS, Kind.WORKFLOW, Kind.OTHER))


def _key(name: str) -> str:
    return "".join(name.split()).replace("-", "").replace("_", "").casefold()


def kind_of_type(name: str) -> Kind | None:
    """The kind that a model type or a file type stands for, however it is spelt; else `None`."""
    return _BY_MODEL_TYPE.get(_key(name)) or _BY_FILE_TYPE.get(_key(name))


def kind_of(model_type: str, file_type: str, file_name: str) -> Kind:
    """What the file is, by its own type first: a checkpoint's VAE is a VAE.

    A file of the main weights, or of a type that we do not know, is what its model is. A GGUF
    "checkpoint" is a diffusion model alone: the format has no place for the other parts, and no
    tool reads it from the checkpoint folder but Forge, which reads both from there.
    """
    by_model = _BY_MODEL_TYPE.get(_key(model_type), Kind.OTHER)
    file_key = _key(file_type)
    kind = by_model if file_key in _MAIN_WEIGHTS else _BY_FILE_TYPE.get(file_key, by_model)
    if kind is Kind.ARCHIVE and by_model in _PUBLISHED_AS_ARCHIVES:
        return by_model
    if kind is Kind.CHECKPOINT and split_name(file_name)[1].lower() == ".gguf":
        return Kind.DIFFUSION_MODEL
    return kind


def is_main_weights(file_type: str) -> bool:
    """Whether the file is what its model's type says, and not a part that comes along."""
    return _key(file_type) in _MAIN_WEIGHTS
