"""A full-EMA checkpoint out of its pickle, pruned, in fp16: it still makes the same images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.demo.weights import sd1
from modelhub.demo.weights.ema import full_ema
from modelhub.demo.weights.files import write_torch_zip
from tests.plain_diffusers import (
    Libraries,
    load_single_file,
    picture,
    plain_diffusers,
    write_settings,
)

from .conftest import Program

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", name="libraries")
def _libraries() -> Iterator[Libraries]:
    with plain_diffusers() as found:
        yield found


@pytest.fixture
def source(program: Program) -> Path:
    """Of the true layout in fp32, as training leaves it."""
    path = program.root / "trained.ckpt"
    write_torch_zip(path, full_ema(sd1.checkpoint(sd1.TINY)), seed=7)
    return path


def _converted(program: Program, source: Path, name: str, *options: str) -> Path:
    target = program.folder / name
    ended = program.run("convert", str(source), *options, "--output", str(target))
    assert ended.returncode == 0, ended.stderr
    return target


def _image(libraries: Libraries, path: Path, settings: Path, dtype: str) -> Any:
    return picture(libraries, load_single_file(libraries, path, settings, dtype))


def test_pruned_to_fp16_it_renders_what_the_source_does_in_fp16(
    program: Program, source: Path, libraries: Libraries, tmp_path: Path
) -> None:
    target = _converted(program, source, "pruned.safetensors", "--dtype", "fp16", "--prune")
    assert target.stat().st_size < source.stat().st_size * 0.4
    settings = write_settings(target, tmp_path / "settings")

    expected = _image(libraries, source, settings, "F16")
    assert expected.std() > 0.05
    assert np.array_equal(_image(libraries, target, settings, "F16"), expected)
    in_fp32 = _image(libraries, source, settings, "F32")
    assert not np.array_equal(in_fp32, expected), "fp16 is less than what the source has"


def test_with_its_ema_weights_in_place_it_renders_another_image(
    program: Program, source: Path, libraries: Libraries, tmp_path: Path
) -> None:
    """The image is the one that diffusers makes when it is told to take them from the source."""
    target = _converted(program, source, "ema.safetensors", "--ema")
    settings = write_settings(target, tmp_path / "settings")
    averaged = libraries.diffusers.UNet2DConditionModel.from_single_file(
        str(source), config=str(settings), subfolder="unet", local_files_only=True, extract_ema=True
    )
    pipeline = load_single_file(libraries, source, settings)
    plain = picture(libraries, pipeline)
    pipeline.unet = averaged
    expected = picture(libraries, pipeline)
    assert np.abs(plain - expected).max() > 0.02
    np.testing.assert_allclose(
        _image(libraries, target, settings, "F32"), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("way", ["diffusers", "ckpt"])
def test_there_and_back_again_it_renders_the_same_image(
    way: str, program: Program, source: Path, libraries: Libraries, tmp_path: Path
) -> None:
    between = _converted(program, source, f"between.{way}", "--to", way, "--prune")
    target = _converted(program, between, "back.safetensors")
    settings = write_settings(target, tmp_path / "settings")
    assert np.array_equal(
        _image(libraries, target, settings, "F32"), _image(libraries, source, settings, "F32")
    )
