"""The beta schedule of noise, without SciPy.

"Beta Sampling is All You Need" (arXiv:2407.12173): the noise levels are the quantiles of a beta
distribution. diffusers asks SciPy for them (``_convert_to_beta`` of its schedulers), as A1111 does
(``modules/sd_schedulers.py``).
"""

from __future__ import annotations

from math import exp, lgamma, log
from typing import Any

_SHAPE = 0.6
"""Both parameters of the distribution, as in the paper."""
_BISECTIONS = 60
_MOST_TERMS = 200
_SMALL = 1e-300
_PRECISE = 1e-15


def beta_quantile(share: float, shape: float = _SHAPE) -> float:
    """Where the distribution function of a symmetric beta distribution reaches `share`.

    :param share: 0 to 1.
    :param shape: both parameters.
    """
    if share <= 0 or share >= 1:
        return min(max(share, 0.0), 1.0)
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _distribution(middle, shape) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def follow_beta(scheduler: Any) -> None:
    """Make a scheduler of diffusers follow the beta schedule.

    :param scheduler: of a class with the option ``use_beta_sigmas``, made without it.
    """

    def convert(in_sigmas: Any, num_inference_steps: int, *_: object) -> Any:
        highest, lowest = float(in_sigmas[0]), float(in_sigmas[-1])
        last = max(num_inference_steps - 1, 1)
        shares = [beta_quantile(1 - step / last) for step in range(num_inference_steps)]
        sigmas = [lowest + share * (highest - lowest) for share in shares]
        # Some of the classes go on with a tensor, some with an array.
        import numpy as np

        return (
            np.array(sigmas, np.float32)
            if isinstance(in_sigmas, np.ndarray)
            else (in_sigmas.new_tensor(sigmas))
        )

    scheduler.register_to_config(use_beta_sigmas=True)
    scheduler._convert_to_beta = convert


def _distribution(x: float, shape: float) -> float:
    """The regularised incomplete beta function, by its continued fraction.

    As in "Numerical Recipes" (Press et al.), 6.4.
    """
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > 0.5:
        return 1 - _distribution(1 - x, shape)
    front = exp(lgamma(2 * shape) - 2 * lgamma(shape) + shape * (log(x) + log(1 - x)))
    return front * _fraction(x, shape) / shape


def _fraction(x: float, shape: float) -> float:
    """By the method of Lentz."""
    c, d = 1.0, 1 / _away_from_zero(1 - 2 * shape * x / (shape + 1))
    value = d
    for term in range(1, _MOST_TERMS):
        even = term * (shape - term) * x / ((shape - 1 + 2 * term) * (shape + 2 * term))
        odd = -(shape + term) * (2 * shape + term) * x
        odd /= (shape + 2 * term) * (shape + 1 + 2 * term)
        for factor in (even, odd):
            d = 1 / _away_from_zero(1 + factor * d)
            c = _away_from_zero(1 + factor / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISE:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _SMALL else _SMALL
