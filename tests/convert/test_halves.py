from __future__ import annotations

import numpy as np
import pytest

from modelhub.convert.halves import to_half

LOW_BITS = np.array(
    [0, 1, 2, 0x800, 0xFFF, 0x1000, 0x1001, 0x17FF, 0x1FFF, 0x2000, 0x2FFF, 0x3000, 0x3001,
     0x7FFF, 0x8000, 0x9000, 0xB000, 0xF000, 0xFFFF],
    "<u4",
)  # fmt: skip
"""Below, at and above the half-way marks of fp16, with an even and an odd number before them."""


def bits_of(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return to_half(numbers).view("<u2")


def bits_by_numpy(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return numbers.astype("<f2").view("<u2")


@pytest.mark.parametrize("low", LOW_BITS)
def test_every_upper_half_of_fp32_is_rounded_as_by_numpy(low: np.uint32) -> None:
    numbers = ((np.arange(1 << 16, dtype="<u4") << 16) | low).view("<f4")
    # In the order of their size, whole blocks are ordinary, or none of their numbers is.
    np.testing.assert_array_equal(bits_of(numbers), bits_by_numpy(numbers))


@pytest.mark.parametrize("every", [1, 5, 17, 1_000])
@pytest.mark.parametrize("odd", [0.0, -0.0, 1e-45, -3e-6, 6.1e-5, 65_520.0, -1e30, np.inf, np.nan])
def test_rare_numbers_among_ordinary_ones_are_rounded_as_by_numpy(odd: float, every: int) -> None:
    numbers = np.random.default_rng(1).standard_normal(200_003, dtype=np.float32)
    numbers[::every] = odd
    np.testing.assert_array_equal(bits_of(numbers), bits_by_numpy(numbers))


@pytest.mark.parametrize("std", [1e-6, 1e-4, 0.02, 1.0, 1e4, 1e6])
def test_numbers_of_any_size_are_rounded_as_by_numpy(std: float) -> None:
    drawn = np.random.default_rng(2).standard_normal((300, 700), dtype=np.float32)
    numbers = drawn * np.float32(std)
    np.testing.assert_array_equal(bits_of(numbers), bits_by_numpy(numbers))


def test_the_shape_and_the_source_stay_as_they_are() -> None:
    numbers = np.random.default_rng(3).standard_normal((3, 5, 4_099), dtype=np.float32)
    before = numbers.copy()
    for view in (numbers, numbers[:, ::2], numbers.transpose(), numbers[:0]):
        found = to_half(view)
        assert found.shape == view.shape
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, view.astype("<f2"))
    np.testing.assert_array_equal(numbers, before)
