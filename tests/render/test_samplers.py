from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import UsageError
from modelhub.formats.diffusers_config.scheduler import scheduler_config
from modelhub.formats.diffusers_names import Family
from modelhub.formats.identity import Identity
from modelhub.render.betaschedule import beta_quantile
from modelhub.render.samplers import (
    SAMPLERS,
    SCHEDULES,
    make_scheduler,
    sampling,
    scheduler_settings,
    schedules_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array_.*:DeprecationWarning")
"""Of diffusers, under NumPy 2."""

_SD1 = scheduler_config(Family.SD1, Identity(), velocity=False)
_ZERO_SNR = scheduler_config(
    Family.SDXL, Identity(variants=("v-prediction", "zero-terminal-snr")), velocity=True
)
_EDM = scheduler_config(Family.SDXL, Identity(variants=("edm",)), velocity=False)
_FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
_ROWS = [(one.name, schedule) for one in SAMPLERS for schedule in one.schedules]


def _three_steps(scheduler: Any) -> Any:
    """A run on latents of noise, with a model that says that a tenth of them is noise."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    scheduler.set_timesteps(3)
    latents = torch.randn((1, 4, 8, 8), generator=generator)
    latents = latents * getattr(scheduler, "init_noise_sigma", 1.0)
    scaled = getattr(scheduler, "scale_model_input", lambda sample, _time: sample)
    takes_noise = "generator" in type(scheduler).step.__code__.co_varnames
    for time in scheduler.timesteps:
        predicted = scaled(latents, time) * 0.1
        more = {"generator": generator} if takes_noise else {}
        latents = scheduler.step(predicted, time, latents, **more).prev_sample
    assert bool(latents.isfinite().all())
    return latents


@pytest.mark.parametrize(("sampler", "schedule"), _ROWS)
def test_every_row_of_the_table_makes_three_steps(sampler: str, schedule: str) -> None:
    _three_steps(make_scheduler(sampling(sampler, schedule), _SD1))


@pytest.mark.parametrize("sampler", [one.name for one in SAMPLERS if one.flow is not None])
def test_samplers_for_flow_matching_make_three_steps_with_it(sampler: str) -> None:
    _three_steps(make_scheduler(sampling(sampler, "simple"), _FLOW))


@pytest.mark.parametrize("schedule", ["karras", "exponential", "beta"])
def test_euler_follows_the_chosen_noise_levels_with_flow_matching(schedule: str) -> None:
    _three_steps(make_scheduler(sampling("Euler", schedule), _FLOW))


@pytest.mark.parametrize("sampler", ["Euler Karras", "DPM++ 2M Exponential"])
def test_models_with_the_noise_of_edm_make_three_steps(sampler: str) -> None:
    _three_steps(make_scheduler(sampling(sampler), _EDM))


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DDIM", "DPM++ 2M SDE", "UniPC", "LCM"])
def test_a_model_of_zero_terminal_snr_begins_with_pure_noise(sampler: str) -> None:
    _, options = scheduler_settings(sampling(sampler, "sgm_uniform"), _ZERO_SNR)
    assert options["rescale_betas_zero_snr"] is True
    assert options["prediction_type"] == "v_prediction"
    _three_steps(make_scheduler(sampling(sampler, "sgm_uniform"), _ZERO_SNR))


def test_a_sampler_that_cannot_begin_with_pure_noise_names_those_that_can() -> None:
    with pytest.raises(UsageError, match="Heun cannot begin with pure noise") as caught:
        scheduler_settings(sampling("Heun"), _ZERO_SNR)
    assert "Euler, Euler a, DPM++ 2M" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "karras"),
        ("DPM++ 2M", "DPM++ 2M", "karras"),
        ("dpmpp_2m", "DPM++ 2M", "normal"),
        ("DPM++ 2M SDE", "DPM++ 2M SDE", "exponential"),
        ("DPM++ 2M SDE Heun Karras", "DPM++ 2M SDE Heun", "karras"),
        ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE", "normal"),
        ("Euler a", "Euler a", "normal"),
        ("euler_ancestral", "Euler a", "normal"),
        ("euler_a", "Euler a", "normal"),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "karras"),
        ("LMS Karras", "LMS", "karras"),
        ("DPM2 a Karras", "DPM2 a", "karras"),
        ("DDIM", "DDIM", "ddim_uniform"),
        ("uni_pc_bh2", "UniPC bh2", "normal"),
        ("PLMS", "PLMS", "ddim_uniform"),
        ("lcm", "LCM", "sgm_uniform"),
    ],
)
def test_names_of_a1111_and_comfyui_are_known(name: str, sampler: str, schedule: str) -> None:
    found = sampling(name)
    assert (found.sampler.name, found.schedule.name) == (sampler, schedule)


@pytest.mark.parametrize(
    ("schedule", "name"),
    [("Karras", "karras"), ("SGM Uniform", "sgm_uniform"), ("Uniform", "normal"),
     ("ddim_uniform", "ddim_uniform"), ("Beta", "beta"), ("Simple", "simple")],
)  # fmt: skip
def test_schedules_are_known_by_both_names(schedule: str, name: str) -> None:
    assert sampling("euler", schedule).schedule.name == name


def test_automatic_is_what_a1111_takes_by_itself() -> None:
    assert sampling("DPM++ 3M SDE", "Automatic").schedule.name == "exponential"


def test_the_label_is_as_a1111_writes_it_in_images() -> None:
    assert sampling("dpmpp_2m", "karras").label == "DPM++ 2M"
    assert sampling("dpmpp_2m", "exponential").label == "DPM++ 2M Exponential"
    assert sampling("lms", "karras").label == "LMS Karras"


def test_an_unknown_sampler_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no sampler 'DPM\\+\\+ 2N'") as caught:
        sampling("DPM++ 2N")
    assert "DPM++ 2M" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        sampling("ddmi")
    assert "DDIM" in caught.value.hint


def test_an_endless_name_is_answered_with_a_short_one() -> None:
    with pytest.raises(UsageError) as caught:
        sampling("x" * 1_000_000)
    assert len(caught.value.message) < 200


def test_an_unknown_schedule_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no noise schedule") as caught:
        sampling("Euler", "karas")
    assert caught.value.hint == "nearest: karras"


@pytest.mark.parametrize("name", ["DPM adaptive", "Restart", "DPM++ 2S a Karras", "res_multistep",
                                  "euler_cfg_pp", "heunpp2", "ipndm_v"])  # fmt: skip
def test_a_sampler_that_diffusers_lacks_says_what_is_near(name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be had here: .*(take|near)"):
        sampling(name)


def test_combinations_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="Euler a cannot follow the schedule Karras") as caught:
        sampling("Euler a", "karras")
    assert caught.value.hint == "with Euler a these go: Normal, Simple, SGM Uniform, DDIM"
    with pytest.raises(UsageError, match="names the schedule Karras, but Beta is asked for"):
        sampling("DPM++ 2M Karras", "beta")
    with pytest.raises(UsageError, match="none for a model of flow matching"):
        scheduler_settings(sampling("LMS"), _FLOW)
    with pytest.raises(UsageError, match="only with models that predict noise"):
        scheduler_settings(sampling("DPM++ 2M Karras"), _FLOW)
    with pytest.raises(UsageError, match="none for a model with the noise of EDM"):
        scheduler_settings(sampling("DDIM"), _EDM)
    with pytest.raises(UsageError, match="cannot follow the schedule Normal"):
        scheduler_settings(sampling("euler"), _EDM)


def test_what_suits_the_model_gives_way_to_what_is_asked_for() -> None:
    assert sampling("Euler", otherwise="sgm_uniform").schedule.name == "sgm_uniform"
    assert sampling("Euler Karras", otherwise="sgm_uniform").schedule.name == "karras"
    assert sampling("DPM++ SDE", otherwise="sgm_uniform").schedule.name == "karras"


def test_schedules_of_one_sampler_differ() -> None:
    """Otherwise a comparison of schedules would show the same picture twice."""
    runs = {name: _three_steps(make_scheduler(sampling("Euler", name), _SD1)) for name in
            ("normal", "sgm_uniform", "ddim_uniform", "karras", "exponential", "beta")}  # fmt: skip
    names = list(runs)
    for index, one in enumerate(names):
        assert not any(bool((runs[one] == runs[other]).all()) for other in names[:index])


def test_the_beta_distribution_is_that_of_numpy() -> None:
    import numpy as np

    drawn = np.random.default_rng(5).beta(0.6, 0.6, 400_000)
    for share in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        assert beta_quantile(share) == pytest.approx(np.quantile(drawn, share), abs=4e-3)


def test_the_beta_distribution_is_right_where_it_is_known_exactly() -> None:
    """Of shape 1 it is uniform, of shape 1/2 the arcsine distribution."""
    from math import pi, sin

    for share in (0.01, 0.2, 0.5, 0.77, 0.999):
        assert beta_quantile(share, 1.0) == pytest.approx(share, abs=1e-12)
        assert beta_quantile(share, 0.5) == pytest.approx(sin(pi * share / 2) ** 2, abs=1e-12)


def test_the_beta_schedule_falls_from_the_most_to_the_least_noise() -> None:
    scheduler = make_scheduler(sampling("DPM++ 2M", "beta"), _SD1)
    scheduler.set_timesteps(10)
    sigmas = scheduler.sigmas.tolist()
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] == pytest.approx(14.61, abs=0.01)
    assert sigmas[-1] == 0


def test_every_schedule_belongs_to_a_sampler() -> None:
    assert {name for one in SAMPLERS for name in schedules_of(one.name)} == set(SCHEDULES)


def test_the_tables_are_there_without_torch() -> None:
    program = (
        "import sys; from modelhub.render.samplers import sampling, scheduler_settings;"
        "import modelhub.render.defaults, modelhub.render.prompts;"
        "scheduler_settings(sampling('DPM++ 2M Karras'), {});"
        "sys.exit(any(one in sys.modules for one in ('torch', 'diffusers', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_lms_of_the_first_order_is_eulers_method() -> None:
    from modelhub.render.linearmultistep import coefficients

    assert coefficients([10.0, 7.0, 0.0], 0, 1) == pytest.approx([-3.0])
    # Of the second order on even steps: Adams and Bashforth's 3/2 and -1/2.
    assert coefficients([3.0, 2.0, 1.0], 1, 2) == pytest.approx([-1.5, 0.5])
    # Of the fourth: 55/24, -59/24, 37/24, -9/24.
    assert coefficients([5.0, 4.0, 3.0, 2.0, 1.0], 3, 4) == pytest.approx(
        [-55 / 24, 59 / 24, -37 / 24, 9 / 24]
    )


def test_the_guide_has_every_sampler_with_its_schedule() -> None:
    guide = Path(__file__).parents[2] / "docs" / "rendering-samplers.md"
    told: dict[str, list[str]] = {}
    for line in guide.read_text().splitlines():
        if line.startswith("| "):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            told.setdefault(name, cells)
    for one in SAMPLERS:
        names, alone = told[one.name][:2]
        assert alone == SCHEDULES[one.alone].label
        assert f"`{one.others[0]}`" in names
