from __future__ import annotations

import numpy as np
import pytest

from modelhub.render.images.faults import explained, faults_of
from tests.render.images.scenes import scene


def test_a_good_picture_has_no_faults() -> None:
    assert faults_of(scene(32, 32)) == ()
    assert faults_of(scene(32, 32).astype(np.float32) / 255) == ()
    assert explained(()) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_number_that_is_none_is_told(value: float) -> None:
    image = scene(32, 32).astype(np.float32) / 255
    image[4, 5, 1] = value
    assert faults_of(image) == ("nan",)


def test_a_picture_of_nothing_but_nan_is_also_black() -> None:
    assert faults_of(np.full((8, 8, 3), np.nan, np.float16)) == ("nan", "black")


def test_nearly_black_is_black_and_dark_is_not() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[2, 2] = 2
    assert faults_of(image) == ("black",)
    image[2, 2] = 40
    assert faults_of(image) == ()


def test_one_colour_is_uniform_whatever_the_colour() -> None:
    image = np.empty((8, 8, 3), np.uint8)
    image[:] = (200, 30, 90)
    assert faults_of(image) == ("uniform",)
    image[0, 0, 0] = 203
    assert faults_of(image) == ()


def test_a_picture_without_pixels_is_no_good_one() -> None:
    assert faults_of(np.empty((0, 8, 3), np.uint8)) == ("uniform",)


def test_the_vae_is_suspected_first_then_the_model_then_the_file() -> None:
    vae = explained(("nan", "black"), vae_arithmetic="fp16", arithmetic="fp16")
    model = explained(("black",), vae_arithmetic="fp32", arithmetic="fp16")
    file = explained(("nan",), vae_arithmetic="fp32", arithmetic="fp32")
    assert vae is not None
    assert model is not None
    assert file is not None
    assert "the VAE overflows in fp16" in vae.cause
    assert "VAE in fp32" in vae.fix
    assert "diffusion model overflows in fp16" in model.cause
    assert "it is black" in model.cause
    assert "weights are damaged" in file.cause


def test_a_uniform_picture_has_another_cause() -> None:
    found = explained(("uniform",), vae_arithmetic="fp16", arithmetic="fp16")
    assert found is not None
    assert "one colour" in found.cause
