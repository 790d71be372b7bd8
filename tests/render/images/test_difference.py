"""The expected SSIM and PSNR are those of scikit-image 0.26.0 for the same pictures:
``structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
data_range=255, channel_axis=2)`` and ``peak_signal_noise_ratio(a, b, data_range=255)``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from modelhub.errors import FormatError, UsageError
from modelhub.render.images.difference import Verdict, compare, difference_of
from modelhub.render.images.heat import amplification, colours, heat_map_with_bar
from tests.render.images.scenes import noisy, opened, png, scene

Pixels = NDArray[np.uint8]

REFERENCES: dict[str, tuple[Callable[[Pixels], Pixels], float, float]] = {
    "faint noise": (lambda one: noisy(one, 2), 0.9913452444767451, 45.129560891649525),
    "strong noise": (lambda one: noisy(one, 40), 0.3602422802333711, 20.878718694798295),
    "moved": (lambda one: scene(300, 200, 0.3), 0.8799650576886838, 20.76141643427861),
    "inverted": (lambda one: 255 - one, -0.36581503220313727, 6.111695894678187),
}


@pytest.mark.parametrize(("change", "ssim", "psnr"), REFERENCES.values(), ids=REFERENCES)
def test_the_figures_are_those_of_scikit_image(
    change: Callable[[Pixels], Pixels], ssim: float, psnr: float
) -> None:
    one = scene(300, 200)
    found = difference_of(one, change(one))
    assert found.ssim == pytest.approx(ssim, abs=1e-9)
    assert found.psnr == pytest.approx(psnr, abs=1e-9)


def test_a_picture_just_as_high_as_the_window_is_judged_as_scikit_image_does() -> None:
    one = scene(11, 64)
    assert difference_of(one, noisy(one, 9)).ssim == pytest.approx(0.8780268546793305, abs=1e-9)


def test_equal_pictures_are_identical_to_the_last_figure() -> None:
    found = compare(png(scene(40, 30)), png(scene(40, 30)))
    assert (found.psnr, found.ssim, found.max_difference) == (math.inf, 1.0, 0)
    assert found.worst_tile_psnr == math.inf
    assert found.sentence == "identical"


def test_no_visible_difference_is_said_with_its_figures() -> None:
    found = difference_of(scene(300, 200), noisy(scene(300, 200), 2))
    assert found.sentence == ("no visible difference (PSNR 45.1 dB, SSIM 0.9913, at most 2 of 255)")


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (noisy(scene(96, 96), 1), Verdict.INVISIBLE),
        (scene(96, 96, 0.05), Verdict.SLIGHT),
        (scene(96, 96, 0.3), Verdict.VISIBLE),
        (255 - scene(96, 96), Verdict.OTHER),
    ],
)
def test_the_verdict_grows_with_the_difference(other: Pixels, verdict: Verdict) -> None:
    assert difference_of(scene(96, 96), other).verdict is verdict


def test_a_small_spot_that_differs_much_is_not_called_invisible() -> None:
    one = scene(512, 512)
    other = one.copy()
    other[100:108, 100:108] = 255 - other[100:108, 100:108]
    found = difference_of(one, other)
    assert found.psnr > 40
    assert found.ssim > 0.98
    assert found.verdict is Verdict.SLIGHT


def test_one_channel_alone_counts() -> None:
    one = np.full((32, 32, 3), 100, np.uint8)
    other = one.copy()
    other[5, 7, 2] = 109
    found = difference_of(one, other)
    assert found.max_difference == 9
    assert found.mean_difference == pytest.approx(9 / (32 * 32 * 3))
    assert found.pixels[5, 7] == 9
    assert found.pixels.sum() == 9


def test_the_worst_tile_is_found_in_the_cut_off_corner_too() -> None:
    one = np.zeros((17, 33, 3), np.uint8)
    other = one.copy()
    other[16, 32] = 51
    assert difference_of(one, other).worst_tile_psnr == pytest.approx(20 * math.log10(5))


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (8, 8), (10, 300)])
def test_pictures_smaller_than_the_window_have_figures_too(size: tuple[int, int]) -> None:
    one = scene(*size)
    found = difference_of(one, noisy(one, 5) ^ np.uint8(1))
    assert -1 <= found.ssim < 1
    assert found.psnr > 0


def test_pictures_of_different_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(UsageError, match="64x32 and 32x64"):
        compare(png(scene(32, 64)), png(scene(64, 32)))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(FormatError):
        compare(png(scene(8, 8)), b"GIF89a")
    with pytest.raises(FormatError):
        compare(png(scene(64, 64))[:-80], png(scene(64, 64)))


def test_a_picture_of_a_billion_pixels_is_refused_by_its_header() -> None:
    claimed = png(scene(8, 8))
    claimed = claimed[:16] + (40_000).to_bytes(4) * 2 + claimed[24:]
    with pytest.raises(FormatError, match="1,600,000,000 pixels"):
        compare(claimed, claimed)


def test_the_heat_map_is_dark_where_nothing_differs_and_bright_where_most_does() -> None:
    pixels = np.zeros((40, 50), np.uint8)
    pixels[3, 4], pixels[5, 6] = 3, 1
    drawn = opened(heat_map_with_bar(pixels))
    assert drawn.shape[0] > 40, "the scale is below"
    assert drawn.shape[1:] == (50, 3)
    assert drawn[0, 0].tolist() == [0, 0, 0]
    assert drawn[3, 4].tolist() == colours()[192].tolist()
    assert drawn[5, 6].tolist() == colours()[64].tolist()
    assert int(drawn[5, 6].sum()) < int(drawn[3, 4].sum())


@pytest.mark.parametrize(("largest", "times"), [(1, 64), (3, 64), (4, 32), (100, 2), (255, 1)])
def test_differences_are_amplified_as_far_as_they_stay_distinct(largest: int, times: int) -> None:
    assert amplification(largest) == times


def test_the_difference_picture_has_its_scale_below_it() -> None:
    found = difference_of(scene(60, 80), noisy(scene(60, 80), 3))
    drawn = opened(found.picture)
    assert drawn.shape[1] == 80
    assert drawn.shape[0] > 60
    scale = drawn[62]
    assert scale[0].tolist() == colours()[0].tolist()
    assert scale[-1].tolist() == colours()[255].tolist()
