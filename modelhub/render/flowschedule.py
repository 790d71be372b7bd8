"""Samplers of flow matching that space their steps themselves, whatever a pipeline proposes.

Pipelines of diffusers hand evenly spaced noise levels (``sigmas``) to their scheduler, and how much
they are to be moved for a picture's size (``mu``). Only Euler's and LCM's classes take the levels;
the others come to the very same ones, moved alike, from the number of steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from math import exp
from typing import Any

_TAKE_LEVELS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler")


def space_by_count(scheduler: Any, *, by_size: bool) -> None:
    """Let a scheduler bear what pipelines hand it, as far as it has no use for it.

    :param scheduler: of diffusers, for a model of flow matching.
    :param by_size: whether the model was trained with more noise for larger pictures.
    """
    kind = type(scheduler)
    if kind.__name__ in _TAKE_LEVELS:
        return
    takes_shift = "mu" in inspect.signature(kind.set_timesteps).parameters

    def set_timesteps(
        self: Any,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        count = num_inference_steps if sigmas is None else len(sigmas)
        moved: dict[str, float] = {}
        if by_size and mu is not None:
            if takes_shift:
                moved["mu"] = mu
            else:
                self.register_to_config(shift=exp(mu))
        kind.set_timesteps(self, count, device=device, **moved)

    scheduler.__class__ = type(kind.__name__, (kind,), {"set_timesteps": set_timesteps})


def end_above_zero(scheduler: Any) -> None:
    """Let a scheduler whose last level is stretched to one above zero bear a single step.

    Of one step, the last level is the first, which is all noise: diffusers divides zero by zero.

    :param scheduler: of diffusers, for a model of flow matching.
    """
    kind = type(scheduler)
    if not hasattr(kind, "stretch_shift_to_terminal"):
        return

    def stretch(self: Any, levels: Any) -> Any:
        return levels if levels[-1] == 1 else kind.stretch_shift_to_terminal(self, levels)

    scheduler.__class__ = type(kind.__name__, (kind,), {"stretch_shift_to_terminal": stretch})
