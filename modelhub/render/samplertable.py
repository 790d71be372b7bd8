"""The samplers and noise schedules, as data.

Names and A1111's automatic schedules: AUTOMATIC1111/stable-diffusion-webui
``modules/sd_samplers_kdiffusion.py``, ``sd_samplers_timesteps.py``, ``sd_samplers_lcm.py`` and
``sd_schedulers.py`` (1.10). ComfyUI's names: comfyanonymous/ComfyUI ``comfy/samplers.py``
(``SAMPLER_NAMES``, ``SCHEDULER_NAMES``). What they are in diffusers: huggingface/diffusers
``docs/source/en/api/schedulers/overview.md``; which options a class takes: its ``__init__``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the noise falls from step to step.

    :param name: as ComfyUI calls it.
    :param label: as A1111 does.
    :param options: of a scheduler of diffusers.
    """

    name: str
    label: str
    options: Mapping[str, Any]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampler:
    """How an image is made out of noise.

    :param name: as A1111 calls it.
    :param others: further names, ComfyUI's first.
    :param scheduler: the class of diffusers.
    :param options: of it.
    :param alone: the schedule where only A1111's name is given.
    :param schedules: those that it can follow.
    :param flow: the class for models of flow matching; None: it is none for them.
    :param spaced: whether it takes a schedule's ``timestep_spacing``; some have their own.
    :param most_steps: that it can do; None: as many as one likes.
    """

    name: str
    others: tuple[str, ...]
    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    alone: str = "normal"
    schedules: tuple[str, ...] = ("normal", "simple", "sgm_uniform", "ddim_uniform")
    flow: str | None = None
    spaced: bool = True
    most_steps: int | None = None


SCHEDULES: dict[str, Schedule] = {
    one.name: one
    for one in (
        Schedule("normal", "Normal", {"timestep_spacing": "linspace"}, ("uniform", "default")),
        Schedule("simple", "Simple", {"timestep_spacing": "trailing"}),
        Schedule("sgm_uniform", "SGM Uniform", {"timestep_spacing": "trailing"}),
        Schedule("ddim_uniform", "DDIM", {"timestep_spacing": "leading"}, ("ddim uniform",)),
        Schedule(
            "karras", "Karras", {"timestep_spacing": "linspace", "use_karras_sigmas": True}, ("ka",)
        ),
        Schedule(
            "exponential",
            "Exponential",
            {"timestep_spacing": "linspace", "use_exponential_sigmas": True},
            ("exp",),
        ),
        Schedule("beta", "Beta", {"timestep_spacing": "linspace", "use_beta_sigmas": True}),
    )
}

_SPACINGS = ("normal", "simple", "sgm_uniform", "ddim_uniform")
_ALL = (*_SPACINGS, "karras", "exponential", "beta")
_MULTISTEP = "DPMSolverMultistepScheduler"
_SDE = {"algorithm_type": "sde-dpmsolver++"}
_CONSISTENCY = {"clip_sample": False, "set_alpha_to_one": True, "timestep_spacing": "leading"}
_BH1 = {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}
"""A1111's. Its last step must not go down to no noise at all, of which it takes the logarithm."""
_ORIGINAL_STEPS = 50
"""``original_inference_steps`` of LCM and TCD: they take their steps out of these."""

SAMPLERS: tuple[Sampler, ...] = (
    Sampler("Euler", ("euler", "k_euler"), "EulerDiscreteScheduler", schedules=_ALL,
            flow="FlowMatchEulerDiscreteScheduler"),
    Sampler("Euler a", ("euler_ancestral", "euler_a", "k_euler_a", "k_euler_ancestral"),
            "EulerAncestralDiscreteScheduler"),
    Sampler("DPM++ 2M", ("dpmpp_2m", "k_dpmpp_2m"), _MULTISTEP, alone="karras", schedules=_ALL,
            flow=_MULTISTEP),
    Sampler("DPM++ 2M SDE", ("dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "k_dpmpp_2m_sde"), _MULTISTEP,
            _SDE, alone="exponential", schedules=_ALL),
    Sampler("DPM++ 2M SDE Heun",
            ("dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "k_dpmpp_2m_sde_heun"), _MULTISTEP,
            {**_SDE, "solver_type": "heun"}, alone="exponential", schedules=_ALL),
    Sampler("DPM++ 3M SDE", ("dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "k_dpmpp_3m_sde"), _MULTISTEP,
            {**_SDE, "solver_order": 3}, alone="exponential", schedules=_ALL),
    Sampler("DPM++ SDE", ("dpmpp_sde", "dpmpp_sde_gpu", "k_dpmpp_sde"),
            "DPMSolverSinglestepScheduler", {**_SDE, "lower_order_final": True}, alone="karras",
            schedules=("normal", "karras", "exponential", "beta"), spaced=False),
    Sampler("Heun", ("heun", "k_heun"), "HeunDiscreteScheduler", schedules=_ALL,
            flow="FlowMatchHeunDiscreteScheduler"),
    Sampler("LMS", ("lms", "k_lms"), "LMSDiscreteScheduler", schedules=_ALL),
    Sampler("DPM2", ("dpm_2", "k_dpm_2"), "KDPM2DiscreteScheduler", alone="karras",
            schedules=_ALL),
    Sampler("DPM2 a", ("dpm_2_ancestral", "k_dpm_2_a", "k_dpm_2_ancestral"),
            "KDPM2AncestralDiscreteScheduler", alone="karras", schedules=_ALL),
    Sampler("DDIM", ("ddim",), "DDIMScheduler",
            {"clip_sample": False, "set_alpha_to_one": False}, alone="ddim_uniform"),
    Sampler("PLMS", ("plms", "pndm"), "PNDMScheduler",
            {"skip_prk_steps": True, "set_alpha_to_one": False}, alone="ddim_uniform"),
    Sampler("UniPC", ("uni_pc", "unipc"), "UniPCMultistepScheduler", _BH1,
            schedules=_ALL, flow="UniPCMultistepScheduler"),
    Sampler("UniPC bh2", ("uni_pc_bh2",), "UniPCMultistepScheduler", {"solver_type": "bh2"},
            schedules=_ALL, flow="UniPCMultistepScheduler"),
    Sampler("LCM", ("lcm",), "LCMScheduler", _CONSISTENCY, alone="sgm_uniform", spaced=False,
            schedules=("sgm_uniform", "normal", "simple"), flow="FlowMatchLCMScheduler",
            most_steps=_ORIGINAL_STEPS),
    Sampler("TCD", ("tcd",), "TCDScheduler", _CONSISTENCY, alone="sgm_uniform", spaced=False,
            schedules=("sgm_uniform", "normal", "simple"), most_steps=_ORIGINAL_STEPS),
    Sampler("DEIS", ("deis",), "DEISMultistepScheduler", schedules=_ALL),
    Sampler("DDPM", ("ddpm",), "DDPMScheduler", {"clip_sample": False}),
)  # fmt: skip
"""In the order in which they are listed."""

FROM_PURE_NOISE = frozenset(
    {
        "DDIMScheduler",
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "LCMScheduler",
        "TCDScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Classes that know ``rescale_betas_zero_snr``."""

MODERN = tuple(one.name for one in SAMPLERS[:12])
"""Those that are named where a name resembles none."""

_NOT_IN_DIFFUSERS = "diffusers has no such method"
ABSENT: dict[str, str] = {
    "DPM++ 2S a": f"{_NOT_IN_DIFFUSERS}; DPM++ SDE is near to it",
    "dpmpp_2s_ancestral": f"{_NOT_IN_DIFFUSERS}; DPM++ SDE is near to it",
    "DPM fast": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M",
    "DPM adaptive": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M with more steps",
    "Restart": f"{_NOT_IN_DIFFUSERS}; take Heun",
    "heunpp2": f"{_NOT_IN_DIFFUSERS}; take Heun",
    "DDIM CFG++": f"{_NOT_IN_DIFFUSERS}; take DDIM",
    "euler_cfg_pp": f"{_NOT_IN_DIFFUSERS}; take Euler",
    "euler_ancestral_cfg_pp": f"{_NOT_IN_DIFFUSERS}; take Euler a",
    "dpmpp_2m_cfg_pp": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M",
    "res_multistep": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M",
    "gradient_estimation": f"{_NOT_IN_DIFFUSERS}; take Euler",
    "er_sde": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M SDE",
    "seeds_": f"{_NOT_IN_DIFFUSERS}; take DPM++ SDE",
    "sa_solver": f"{_NOT_IN_DIFFUSERS}; take DPM++ 2M SDE",
    "exp_heun_2_x0": f"{_NOT_IN_DIFFUSERS}; take Heun",
    "ipndm": "its class in diffusers is of an older kind of model; take DEIS",
}
"""Samplers of A1111 and ComfyUI that cannot be had, by name, and why."""
