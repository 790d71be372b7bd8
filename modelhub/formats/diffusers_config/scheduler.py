"""``scheduler/scheduler_config.json``: how the noise was scheduled in training.

As the families publish theirs (``stable-diffusion-v1-5``, ``stabilityai/stable-diffusion-2-1``,
``stabilityai/stable-diffusion-xl-base-1.0``, ``stabilityai/cosxl``,
``playgroundai/playground-v2.5-1024px-aesthetic``).
"""

from __future__ import annotations

from typing import Any

from modelhub.formats.diffusers_names import Family
from modelhub.formats.identity import Identity

_BETAS: dict[str, Any] = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "trained_betas": None,
}
_PNDM = {
    "_class_name": "PNDMScheduler",
    **_BETAS,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
_DDIM = {
    "_class_name": "DDIMScheduler",
    **_BETAS,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_EULER = {
    "_class_name": "EulerDiscreteScheduler",
    **_BETAS,
    "interpolation_type": "linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
}
_TURBO = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    **_BETAS,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
}
_LCM = {
    "_class_name": "LCMScheduler",
    **_BETAS,
    "clip_sample": False,
    "original_inference_steps": 50,
    "set_alpha_to_one": True,
    "steps_offset": 0,
}
_COSXL = {
    "_class_name": "EDMEulerScheduler",
    "num_train_timesteps": 1000,
    "sigma_data": 1.0,
    "sigma_max": 120.0,
    "sigma_min": 0.002,
}
_PLAYGROUND = {
    "_class_name": "EDMDPMSolverMultistepScheduler",
    "algorithm_type": "dpmsolver++",
    "final_sigmas_type": "zero",
    "num_train_timesteps": 1000,
    "sigma_data": 0.5,
    "sigma_max": 80.0,
    "sigma_min": 0.002,
    "solver_order": 2,
    "solver_type": "midpoint",
}
_EPSILON, _V = "epsilon", "v_prediction"


def predicts_v(family: Family, identity: Identity, inputs: int) -> bool:
    """Whether the model predicts the velocity (``v_prediction``) instead of the noise.

    No tensor of Stable Diffusion 2 tells it. Of the published ones, 2.0 and 2.1 of 768 pixels do,
    those of 512 and those with further inputs do not; without a word about it, it is taken for one
    of 768, as most that were made of it are.

    :param inputs: channels that go into the UNet.
    """
    if "v-prediction" in identity.variants:
        return True
    if family is not Family.SD2 or inputs != _PLAIN_INPUTS:
        return False
    return identity.edition != "512-base" and "turbo" not in identity.variants


_PLAIN_INPUTS = 4


def scheduler_config(family: Family, identity: Identity, *, velocity: bool) -> dict[str, Any]:
    """The configuration of the scheduler, ``_class_name`` included.

    :param velocity: the model predicts it, see :func:`predicts_v`.
    """
    variants = identity.variants
    prediction = {"prediction_type": _V if velocity else _EPSILON}
    if identity.edition == "cosxl" or ("edm" in variants and velocity):
        return _COSXL | prediction
    if "edm" in variants:
        return _PLAYGROUND | prediction
    if "lcm" in variants:
        return _LCM | prediction
    if "turbo" in variants:
        return _TURBO | prediction
    of_sdxl = family in (Family.SDXL, Family.REFINER)
    if "zero-terminal-snr" in variants:
        ending = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        return (_EULER if of_sdxl else _DDIM) | prediction | ending
    if of_sdxl:
        return _EULER | prediction
    return (_DDIM if velocity else _PNDM) | prediction
