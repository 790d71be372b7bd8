"""What pipelines ask for beside a prompt, filled in so that the prompt alone makes the picture.

A model for inpainting gets a grey picture that is to be painted over as a whole; one that follows
instructions gets a grey one to begin with; one that is guided by depth, a slope.
"""

from __future__ import annotations

from typing import Any

from modelhub.render.pipelines.libraries import library

_EXACT_STRENGTH = 1.0


def blank_inputs(pipeline_class: str, width: int, height: int) -> dict[str, Any]:
    """Arguments for the call of a pipeline, width and height included where it takes them.

    :param pipeline_class: its name in diffusers.
    :param width: of the picture, in pixels; `height` the same.
    """
    size: dict[str, Any] = {"width": width, "height": height}
    if pipeline_class == "SanaPipeline":
        # Else it makes a picture of another size, and shrinks or stretches that.
        return {**size, "use_resolution_binning": False}
    if pipeline_class == "WanPipeline":
        return {**size, "num_frames": 1}
    if "Inpaint" in pipeline_class:
        ones = library("torch").ones(1, 1, height, width)
        image = _grey(width, height)
        return {**size, "image": image, "mask_image": ones, "strength": _EXACT_STRENGTH}
    if pipeline_class == "StableDiffusionXLInstructPix2PixPipeline":
        return {**size, "image": _grey(width, height)}
    if "InstructPix2Pix" in pipeline_class:
        return {"image": _grey(width, height)}
    if "Depth2Img" in pipeline_class:
        return {
            "image": _grey(width, height),
            "depth_map": _slope(width, height),
            "strength": _EXACT_STRENGTH,
        }
    if "Img2Img" in pipeline_class:
        return {"image": _grey(width, height), "strength": _EXACT_STRENGTH}
    return size


def set_size(pipe: Any, width: int, height: int) -> None:
    """Let a pipeline make pictures of that size where it would choose one of its own.

    HiDream's brings every size to the area that its ``default_sample_size`` stands for.

    :param pipe: of diffusers.
    """
    if type(pipe).__name__ == "HiDreamImagePipeline":
        # A little more: what is a hair too small is cut off to the multiple below.
        pipe.default_sample_size = (width * height) ** 0.5 / pipe.vae_scale_factor * (1 + 1e-9)


def _grey(width: int, height: int) -> Any:
    """Of which the middle is 0: pictures as tensors go from -1 to 1."""
    return library("torch").zeros(1, 3, height, width)


def _slope(width: int, height: int) -> Any:
    """Farther above than below; a level one cannot be scaled to its own range."""
    rows = library("torch").linspace(0.0, 1.0, height // 8)
    return rows.reshape(1, -1, 1).expand(1, -1, width // 8).clone()
