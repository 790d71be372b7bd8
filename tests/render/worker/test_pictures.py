"""Latents as pictures: decoded as diffusers does, and previewed by colours."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.render.worker.decoding import decode, png_of, unscaled
from modelhub.render.worker.previews import colours_of, preview
from tests.render.quiet import quiet_torch  # noqa: F401 (a fixture)

SD1, SDXL, FLUX = 0.18215, 0.13025, 0.3611


@pytest.fixture(scope="module")
def vae(torch: Any) -> Any:
    import diffusers

    torch.manual_seed(0)
    make: Any = diffusers.AutoencoderKL
    return make(block_out_channels=(32,), latent_channels=4, layers_per_block=1).eval()


def test_a_picture_is_the_same_to_the_bit_as_that_of_diffusers(vae: Any, torch: Any) -> None:
    from diffusers.image_processor import VaeImageProcessor

    latents = torch.randn(1, 4, 16, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        image = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
    (theirs,) = VaeImageProcessor().postprocess(image, output_type="pil")
    ours = Image.open(io.BytesIO(png_of(decode(vae, latents))))
    assert ours.size == (24, 16)
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert len(set(np.asarray(ours).ravel().tolist())) > 50


def test_numbers_that_are_none_stay_so_and_are_written_as_black(vae: Any, torch: Any) -> None:
    pixels = decode(vae, torch.full((1, 4, 8, 8), float("nan")))
    assert np.isnan(pixels).all()
    assert not np.asarray(Image.open(io.BytesIO(png_of(pixels)))).any()


def test_latents_are_moved_as_the_vae_says(torch: Any) -> None:
    class Config:
        scaling_factor = 2.0
        shift_factor: float | None = None
        latents_mean: list[float] | None = None
        latents_std: list[float] | None = None

    class Vae:
        config = Config()

    latents = torch.ones(1, 2, 1, 1)
    assert unscaled(Vae(), latents).flatten().tolist() == [0.5, 0.5]
    Vae.config.shift_factor = 1.0
    assert unscaled(Vae(), latents).flatten().tolist() == [1.5, 1.5]
    Vae.config.latents_mean, Vae.config.latents_std = [10.0, 20.0], [2.0, 4.0]
    assert unscaled(Vae(), latents).flatten().tolist() == [11.0, 22.0]


@pytest.mark.parametrize(("channels", "scaling"), [(4, SD1), (4, SDXL), (16, FLUX), (16, 1.5305)])
def test_a_latent_space_is_known_by_its_channels_and_scale(channels: int, scaling: float) -> None:
    space = colours_of(channels, scaling)
    assert space is not None
    assert space.scaling == scaling
    assert len(space.factors) == channels


def test_a_preview_shows_the_colours_of_the_latents(torch: Any) -> None:
    # In SD 1.x the third channel takes red away and gives blue.
    latents = torch.zeros(1, 4, 32, 64)
    latents[0, 2] = 1.0
    picture = Image.open(io.BytesIO(preview(latents, SD1)))
    assert picture.size == (64, 32)
    red, _green, blue = np.asarray(picture)[0, 0].tolist()
    assert blue > 128 > red


def test_a_preview_of_pure_noise_has_all_shades_and_not_only_black_and_white(torch: Any) -> None:
    noise = 14.6 * torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(2))
    pixels = np.asarray(Image.open(io.BytesIO(preview(noise, SD1))))
    assert ((pixels > 0) & (pixels < 255)).mean() > 0.75


def test_a_preview_of_broken_latents_is_a_picture_all_the_same(torch: Any) -> None:
    broken = torch.full((1, 4, 8, 8), float("nan"))
    assert Image.open(io.BytesIO(preview(broken, SD1))).size == (8, 8)


def test_a_preview_is_small_however_large_the_image_is(torch: Any) -> None:
    picture = Image.open(io.BytesIO(preview(torch.zeros(1, 4, 512, 256), SDXL)))
    assert picture.size == (96, 192)


@pytest.mark.parametrize("shape", [(1, 7, 8, 8), (1, 64, 16), (1, 4, 8)])
def test_latents_of_an_unknown_space_have_no_preview(shape: tuple[int, ...], torch: Any) -> None:
    assert preview(torch.zeros(shape), 1.0) == b""
