"""LMS, the linear multistep sampler, without SciPy, which diffusers' own class cannot do without.

As crowsonkb/k-diffusion ``k_diffusion/sampling.py`` (``sample_lms``): the last derivatives are laid
through a polynomial, and that is integrated over the step. Gauss-Legendre quadrature does so
exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from diffusers.schedulers.scheduling_euler_discrete import (
    EulerDiscreteScheduler,
    EulerDiscreteSchedulerOutput,
)

_ORDER = 4
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)


class LinearMultistepScheduler(EulerDiscreteScheduler):  # type: ignore[misc, unused-ignore]
    """Steps as LMS does; everything else is as with Euler's method."""

    _derivatives: list[Any]

    def set_timesteps(self, *arguments: Any, **options: Any) -> None:
        """Begin a new image: as the method of the same name of Euler's scheduler."""
        super().set_timesteps(*arguments, **options)
        self._derivatives = []

    def step(self, *arguments: Any, **options: Any) -> Any:
        """The sample after one more step: as the method of the same name of Euler's scheduler."""
        wanted = options.pop("return_dict", True)
        result: Any = super().step(*arguments, **options)
        sample = options["sample"] if "sample" in options else arguments[2]
        # By now it counts the step that it has made.
        index = self.step_index - 1
        original, wide = result.pred_original_sample, sample.float()
        self._derivatives.append((wide - original.float()) / self.sigmas[index])
        del self._derivatives[:-_ORDER]
        weights = coefficients(self.sigmas.tolist(), index, len(self._derivatives))
        moved = sum(
            weight * one for weight, one in zip(weights, reversed(self._derivatives), strict=True)
        )
        previous = (wide + moved).to(result.prev_sample.dtype)
        if not wanted:
            return previous, original
        return EulerDiscreteSchedulerOutput(prev_sample=previous, pred_original_sample=original)


def coefficients(sigmas: list[float], index: int, order: int) -> list[float]:
    """How much the last `order` derivatives count in the step from `index` on, the latest first.

    :param sigmas: the levels of noise, falling.
    """
    known = [sigmas[index - back] for back in range(order)]
    half, middle = (sigmas[index + 1] - known[0]) / 2, (sigmas[index + 1] + known[0]) / 2
    points = middle + half * _POINTS
    found = []
    for one in known:
        values = np.ones_like(points)
        for other in known:
            if other != one:
                values = values * (points - other) / (one - other)
        found.append(float(half * (_WEIGHTS * values).sum()))
    return found
