"""``model_index.json``: which pipeline a folder is, and the class of each of its parts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from modelhub.formats.diffusers_names import Family
from modelhub.formats.identity import Identity

MADE_FOR = "0.36.0"
"""The version of diffusers whose settings these are."""

_XL = (Family.SDXL, Family.REFINER)
# By the channels that go into the UNet: of SD 1 and 2, of SDXL.
_PIPELINES: dict[int, tuple[str, str]] = {
    4: ("StableDiffusionPipeline", "StableDiffusionXLPipeline"),
    5: ("StableDiffusionDepth2ImgPipeline", "StableDiffusionXLPipeline"),
    8: ("StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline"),
    9: ("StableDiffusionInpaintPipeline", "StableDiffusionXLInpaintPipeline"),
}
_NOTHING = [None, None]


def pipeline_class(family: Family, identity: Identity, inputs: int) -> str | None:
    """The pipeline that a model runs in; None where it is none that a single file tells whole.

    :param inputs: channels that go into its UNet.
    """
    if "unclip" in identity.variants or inputs not in _PIPELINES:
        return None
    if family is Family.REFINER and inputs == _PLAIN:
        return "StableDiffusionXLImg2ImgPipeline"
    if family is Family.SD1 and inputs == _PLAIN and "lcm" in identity.variants:
        return "LatentConsistencyModelPipeline"
    return _PIPELINES[inputs][family in _XL]


_PLAIN = 4


def model_index(
    pipeline: str, family: Family, folders: Collection[str], scheduler: str
) -> dict[str, Any]:
    """The index of a pipeline's folder.

    :param folders: the parts that are there; those that are not are named as nothing.
    :param scheduler: its class.
    """
    classes = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    index: dict[str, Any] = {"_class_name": pipeline, "_diffusers_version": MADE_FOR}
    if family in _XL:
        classes["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        classes["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
        index["force_zeros_for_empty_prompt"] = family is Family.SDXL
        if pipeline in _SCORED:
            index["requires_aesthetics_score"] = family is Family.REFINER
    else:
        index["requires_safety_checker"] = False
        index["safety_checker"] = _NOTHING
    index["feature_extractor"] = _NOTHING
    index["image_encoder"] = _NOTHING
    if pipeline == "StableDiffusionDepth2ImgPipeline":
        index["depth_estimator"] = _NOTHING
    for folder, names in classes.items():
        index[folder] = (
            names if folder.replace("tokenizer", "text_encoder") in folders else _NOTHING
        )
    index["scheduler"] = ["diffusers", scheduler]
    return index


_SCORED = ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline")
