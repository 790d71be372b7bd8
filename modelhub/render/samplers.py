"""Samplers and noise schedules by the names that A1111 and ComfyUI give them.

A name is looked up, checked against the model's own schedule, and turned into the class and the
options of a scheduler of diffusers. All but :func:`make_scheduler` works without torch.

The options beside the sampler's own follow huggingface/diffusers
``docs/source/en/api/schedulers/overview.md``, "Noise schedules and schedule types".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.errors import UsageError
from modelhub.render.samplertable import (
    ABSENT,
    FROM_PURE_NOISE,
    MODERN,
    SAMPLERS,
    SCHEDULES,
    Sampler,
    Schedule,
)

__all__ = ["SAMPLERS", "SCHEDULES", "Sampler", "Sampling", "Schedule", "make_scheduler",
           "sampling", "scheduler_settings", "schedules_of"]  # fmt: skip

_TRAINED = (
    "beta_end",
    "beta_schedule",
    "beta_start",
    "num_train_timesteps",
    "prediction_type",
    "trained_betas",
)
_OF_EDM = ("num_train_timesteps", "prediction_type", "sigma_data", "sigma_max", "sigma_min")
_OF_FLOW = ("base_image_seq_len", "base_shift", "max_image_seq_len", "max_shift",
            "num_train_timesteps", "shift", "shift_terminal", "time_shift_type",
            "use_dynamic_shifting")  # fmt: skip
_EDM = {"Euler": "EDMEulerScheduler", "DPM++ 2M": "EDMDPMSolverMultistepScheduler"}
"""Samplers of a model whose noise is as Karras et al. (2022) have it, by name."""
_SEPARATORS = re.compile(r"[\s_\-]+")
_MOST_SHOWN = 100
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sampler and a noise schedule that go together."""

    sampler: Sampler
    schedule: Schedule

    @property
    def label(self) -> str:
        """As A1111 has long written both: ``DPM++ 2M Karras``."""
        plain = self.schedule.name in ("normal", self.sampler.alone)
        return self.sampler.name if plain else f"{self.sampler.name} {self.schedule.label}"


def sampling(
    sampler: str, schedule: str | None = None, *, otherwise: str | None = None
) -> Sampling:
    """The sampler of a name, and its schedule.

    :param sampler: as A1111 or ComfyUI call it; A1111's names may end with a schedule's.
    :param schedule: the same of the schedule; None or ``automatic``: that in the sampler's name,
        else `otherwise`, else as A1111 chooses for its own names, and ComfyUI's ``normal`` for its.
    :param otherwise: what suits the model, where neither was asked for; it is passed over if the
        sampler cannot follow it.
    :raises UsageError: there is no such sampler or schedule, or they do not go together.
    """
    found, within, modern = _sampler_named(sampler)
    asked = None if schedule is None or _key(schedule) == "automatic" else _schedule_named(schedule)
    if asked is not None and within is not None and asked.name != within.name:
        raise UsageError(
            f"sampler {sampler!r} names the schedule {within.label}, but {asked.label} is asked for"
        )
    chosen = asked or within
    if chosen is None and otherwise in found.schedules:
        chosen = SCHEDULES[otherwise]
    if chosen is None:
        chosen = SCHEDULES[found.alone if modern or "normal" not in found.schedules else "normal"]
    if chosen.name not in found.schedules:
        known = ", ".join(SCHEDULES[name].label for name in found.schedules)
        raise UsageError(
            f"sampler {found.name} cannot follow the schedule {chosen.label}",
            hint=f"with {found.name} these go: {known}",
        )
    return Sampling(found, chosen)


def schedules_of(sampler: str) -> tuple[str, ...]:
    """The names of the schedules that a sampler can follow, for a listing.

    :raises UsageError: there is no such sampler.
    """
    return _sampler_named(sampler)[0].schedules


def scheduler_settings(chosen: Sampling, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class of diffusers and the options with which it samples a model.

    :param config: ``scheduler_config.json`` of the model: how its noise was scheduled in training.
    :raises UsageError: the sampler, or its schedule, is none for such a model.
    """
    own = str(config.get("_class_name", ""))
    if own.startswith("EDM"):
        return _edm(chosen, config)
    if own.startswith("FlowMatch"):
        return _flow(chosen, config)
    sampler = chosen.sampler
    trained = {key: config[key] for key in _TRAINED if config.get(key) is not None}
    options = {**trained, **sampler.options}
    if config.get("rescale_betas_zero_snr"):
        if sampler.scheduler not in FROM_PURE_NOISE:
            able = [one.name for one in SAMPLERS if one.scheduler in FROM_PURE_NOISE]
            raise UsageError(
                f"sampler {sampler.name} cannot begin with pure noise, as this model was trained "
                "to (zero terminal SNR)",
                hint=f"take one of {', '.join(able)}",
            )
        options["rescale_betas_zero_snr"] = True
    own_spacing = () if sampler.spaced else ("timestep_spacing",)
    options |= {
        key: value for key, value in chosen.schedule.options.items() if key not in own_spacing
    }
    if options.get("timestep_spacing") == "leading":
        options["steps_offset"] = config.get("steps_offset", 1)
    return sampler.scheduler, options


def make_scheduler(chosen: Sampling, config: Mapping[str, Any]) -> Any:
    """The scheduler of diffusers for :func:`scheduler_settings`.

    :raises UsageError: as there.
    """
    import diffusers

    name, options = scheduler_settings(chosen, config)
    by_beta = bool(options.pop("use_beta_sigmas", False))
    if name == "LMSDiscreteScheduler":
        from modelhub.render.linearmultistep import LinearMultistepScheduler

        scheduler: Any = LinearMultistepScheduler(**options)
    else:
        scheduler = getattr(diffusers, name)(**options)
    if by_beta:
        from modelhub.render.betaschedule import follow_beta

        follow_beta(scheduler)
    if str(config.get("_class_name", "")).startswith("FlowMatch"):
        from modelhub.render.flowschedule import end_above_zero, space_by_count

        if config.get("shift_terminal"):
            end_above_zero(scheduler)
        space_by_count(scheduler, by_size=bool(config.get("use_dynamic_shifting")))
    return scheduler


def _edm(chosen: Sampling, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name = _EDM.get(chosen.sampler.name)
    if name is None:
        raise UsageError(
            f"sampler {chosen.sampler.name} is none for a model with the noise of EDM",
            hint=f"take {' or '.join(_EDM)}",
        )
    wanted = chosen.schedule.name
    if wanted not in ("karras", "exponential"):
        raise UsageError(
            f"a model with the noise of EDM cannot follow the schedule {chosen.schedule.label}",
            hint="take Karras or Exponential",
        )
    kept = {key: config[key] for key in _OF_EDM if config.get(key) is not None}
    return name, kept | {"sigma_schedule": wanted}


def _flow(chosen: Sampling, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Of a model that was trained by flow matching: its noise is mixed in, not added."""
    sampler = chosen.sampler
    if sampler.flow is None:
        able = ", ".join(one.name for one in SAMPLERS if one.flow is not None)
        raise UsageError(
            f"sampler {sampler.name} is none for a model of flow matching", hint=f"take {able}"
        )
    kept = {key: config[key] for key in _OF_FLOW if config.get(key) is not None}
    if sampler.flow.startswith("FlowMatch"):
        sigmas: dict[str, Any] = dict.fromkeys(_sigma_options(chosen), True)
        if sigmas and sampler.flow != "FlowMatchEulerDiscreteScheduler":
            raise UsageError(
                f"sampler {sampler.name} follows the schedule {chosen.schedule.label} only with "
                "models that predict noise"
            )
        if sampler.flow == "FlowMatchHeunDiscreteScheduler":
            kept = {key: kept[key] for key in ("num_train_timesteps", "shift") if key in kept}
        return sampler.flow, kept | sigmas
    options: dict[str, Any] = {
        "num_train_timesteps": config.get("num_train_timesteps", 1000),
        "flow_shift": config.get("shift", 1.0),
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        **{key: kept[key] for key in ("use_dynamic_shifting", "time_shift_type") if key in kept},
    }
    if _sigma_options(chosen):
        raise UsageError(
            f"sampler {sampler.name} follows the schedule {chosen.schedule.label} only with models "
            "that predict noise"
        )
    return sampler.flow, {**sampler.options, **options}


def _sigma_options(chosen: Sampling) -> list[str]:
    """Options by which a schedule chooses the levels of noise, not the points in time."""
    return [key for key in chosen.schedule.options if key.startswith("use_")]


def _key(name: str) -> str:
    """A name without what is written now so, now so: ``euler_a`` and ``Euler a`` are the same."""
    return _SEPARATORS.sub("", name.strip().lower())


_BY_KEY: dict[str, Sampler] = {}
_A1111_KEYS: set[str] = set()
for _one in SAMPLERS:
    _A1111_KEYS.add(_key(_one.name))
    for _name in (_one.name, *_one.others):
        _BY_KEY[_key(_name)] = _one
_SCHEDULES_BY_KEY = {
    _key(name): one for one in SCHEDULES.values() for name in (one.name, one.label, *one.others)
}
_ABSENT_BY_KEY = {_key(name): (name, why) for name, why in ABSENT.items()}


def _sampler_named(name: str) -> tuple[Sampler, Schedule | None, bool]:
    """The sampler, the schedule that its name ends with, and whether the name is A1111's."""
    key = _key(name)
    if key in _BY_KEY:
        return _BY_KEY[key], None, key in _A1111_KEYS
    for ending, schedule in sorted(_SCHEDULES_BY_KEY.items(), key=lambda one: -len(one[0])):
        beginning = key.removesuffix(ending)
        if beginning != key and beginning in _BY_KEY:
            return _BY_KEY[beginning], schedule, beginning in _A1111_KEYS
    for absent, (shown, why) in _ABSENT_BY_KEY.items():
        if key.startswith(absent):
            raise UsageError(f"sampler {shown} cannot be had here: {why}")
    raise UsageError(
        f"there is no sampler {name[:_MOST_SHOWN]!r}", hint=_nearest(key, _BY_KEY, MODERN)
    )


def _schedule_named(name: str) -> Schedule:
    key = _key(name)
    if key in _SCHEDULES_BY_KEY:
        return _SCHEDULES_BY_KEY[key]
    labels = tuple(one.label for one in SCHEDULES.values())
    raise UsageError(
        f"there is no noise schedule {name[:_MOST_SHOWN]!r}",
        hint=_nearest(key, _SCHEDULES_BY_KEY, labels),
    )


def _nearest(
    key: str, known: Mapping[str, Sampler] | Mapping[str, Schedule], usual: tuple[str, ...]
) -> str:
    near = difflib.get_close_matches(key[:_MOST_SHOWN], known, _NEAREST, 0.5)
    names = tuple(dict.fromkeys(known[one].name for one in near)) or usual
    return f"nearest: {', '.join(names)}" if near else f"there are {', '.join(names)}"
