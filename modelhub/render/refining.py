"""SDXL's refiner as a second stage: it takes over the latents of the base, with noise still in.

The base ends its steps early and hands on its latents, and the refiner goes on from that share of
the same steps (Stability-AI/generative-models ``scripts/demo/streamlit_helpers.py``;
huggingface/diffusers ``denoising_end`` and ``denoising_start`` of the pipelines for SDXL). It is
the way of A1111's "switch at" and of ComfyUI's ``KSamplerAdvanced``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.errors import CannotRender, UsageError

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_SHARE = 0.8
"""Of the steps that the base makes, as Stability AI and A1111 recommend."""
StepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
"""``callback_on_step_end`` of diffusers: the pipeline, the step, the timestep, tensors."""


@dataclass(frozen=True, slots=True)
class Stages:
    """How many steps each of the two makes."""

    base: int
    refiner: int

    @property
    def total(self) -> int:
        """Of both."""
        return self.base + self.refiner


def stages(scheduler: Any, steps: int, share: float) -> Stages:
    """Where the refiner takes over, counted in calls of the model.

    :param scheduler: of diffusers; its timesteps are set for `steps`, its state begins anew.
    :param share: after which share of the noise's way, over 0 and under 1.
    :raises UsageError: the share leaves one of them without a step.
    """
    require_share(share)
    scheduler.set_timesteps(steps)
    trained = scheduler.config.num_train_timesteps
    cutoff = round(trained - share * trained)
    timesteps = [float(one) for one in scheduler.timesteps]
    base = sum(one >= cutoff for one in timesteps)
    rest = len(timesteps) - base
    # A scheduler of second order is not cut within a step: diffusers' get_timesteps of the img2img
    # pipeline for SDXL begins with one more.
    if scheduler.order == 2 and rest % 2 == 0:
        rest += 1
    found = Stages(base, rest)
    if not found.base or not found.refiner:
        idle = "the refiner" if found.base else "the base"
        raise UsageError(
            f"with the refiner from {share:g} of {steps} steps on, no step is left for {idle}",
            hint="make more steps, or let the refiner take over elsewhere (0.8 is usual)",
        )
    return found


def require_share(share: float) -> None:
    """Refuse what is no share.

    :raises UsageError: it is not over 0 and under 1.
    """
    if not 0 < share < 1:
        raise UsageError(
            f"the refiner cannot take over after {share:g} of the steps",
            hint="give a number over 0 and under 1; 0.8 is usual",
        )


def refined(
    base: Any,
    refiner: Any,
    *,
    steps: int,
    share: float,
    base_arguments: Mapping[str, Any],
    refiner_arguments: Mapping[str, Any],
    generator: Any,
    on_step: StepEnd | None = None,
) -> Tensor:
    """The latents of one picture, begun by the base and finished by the refiner.

    Both follow the scheduler of the base, one after the other; each gets its own prompt, since the
    refiner has one text encoder alone. The steps that `on_step` gets are counted on over both.

    :param base: a pipeline that makes SDXL's pictures from text.
    :param refiner: a pipeline that makes SDXL's pictures from pictures.
    :param base_arguments: of its call: prompt, size, guidance; without steps and generator.
    :param refiner_arguments: the same for the refiner.
    :param on_step: called after each step of both, which it may end by an exception.
    :return: scaled, as the VAE of `base` takes them once they are divided by its factor.
    :raises CannotRender: one of the pipelines is none of SDXL, takes other latents, or the second
        is no refiner.
    :raises UsageError: the share leaves one of them without a step.
    """
    _require_same_latents(base, refiner)
    parts = stages(base.scheduler, steps, share)
    common = {"num_inference_steps": steps, "generator": generator, "output_type": "latent"}
    begun = base(**base_arguments, **common, denoising_end=share, **_counting(on_step, 0))
    with _following(refiner, base.scheduler):
        finished = refiner(
            **refiner_arguments,
            **common,
            image=begun.images,
            denoising_start=share,
            **_counting(on_step, parts.base),
        )
    made: Tensor = finished.images
    return made


def _counting(on_step: StepEnd | None, before: int) -> dict[str, Any]:
    if on_step is None:
        return {}

    def counted(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return on_step(pipe, step + before, timestep, tensors)

    return {"callback_on_step_end": counted}


@contextmanager
def _following(pipe: Any, scheduler: Any) -> Iterator[None]:
    """A pipeline with another scheduler for a while."""
    own = pipe.scheduler
    pipe.scheduler = scheduler
    try:
        yield
    finally:
        pipe.scheduler = own


def _require_same_latents(base: Any, refiner: Any) -> None:
    for pipe in (base, refiner):
        if getattr(pipe, "text_encoder_2", None) is None:
            raise CannotRender(
                "only SDXL has a refiner: one of the two files is of another architecture",
                hint="leave `--refiner` out",
            )
    if "image" not in inspect.signature(refiner.__call__).parameters:
        raise CannotRender(
            "the file given as the refiner is none: it has the text encoders of a base",
            hint="leave `--refiner` out, or give SDXL's refiner",
        )
    if base.unet.config.in_channels != refiner.unet.config.in_channels:
        raise CannotRender(
            "the refiner does not take the latents of this model",
            hint="leave `--refiner` out",
        )
