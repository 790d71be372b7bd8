"""What our pipelines compute is what diffusers computes of the same files, to the last bit."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.options import ConvertOptions
from modelhub.convert.plan import make_plan
from modelhub.convert.readers import open_source
from modelhub.convert.writers import write_diffusers
from modelhub.render.pipelines.assembling import Assembled
from modelhub.render.request import Recipe
from tests.render.pipelines.conftest import SIZE, Assembler, Files, called, picture

pytestmark = pytest.mark.filterwarnings("ignore")


def _aligned(pipe: Any) -> Any:
    """Diffusers maps its files: where a tensor then starts in memory decides on the last bits."""
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        part = getattr(pipe, name, None)
        for tensor in part.parameters() if part is not None else ():
            tensor.data = tensor.data.clone()
    return pipe


def _plain(path: Path, folder: Path, assembled: Assembled) -> Any:
    """The pipeline that diffusers itself makes of the file."""
    import diffusers

    with open_source(path) as source:
        write_diffusers(to_diffusers(make_plan(source, ConvertOptions())), folder)
    kind = getattr(diffusers, assembled.pipeline_class)
    pipe = kind.from_single_file(str(path), config=str(folder), local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return _aligned(pipe)


@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_a_picture_is_bit_for_bit_that_of_plain_diffusers(
    model: str, files: Files, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    ours = assembler(Recipe(model=str(files.of(model))))
    theirs = _plain(files.of(model), tmp_path / "folder", ours)
    made = picture(ours, steps=2)
    assert made.shape == (1, 3, SIZE, SIZE)
    assert made.std() > 0.01
    assert torch.equal(made, called(theirs, steps=2, width=SIZE, height=SIZE))


def test_a_ckpt_gives_the_picture_of_the_safetensors(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    one = picture(assembler(Recipe(model=str(files.ckpt("sd1")))))
    other = picture(assembler(Recipe(model=str(files.of("sd1")))))
    assert one.std() > 0.01
    assert torch.equal(one, other)


def test_a_folder_of_diffusers_gives_the_picture_of_the_single_file(
    files: Files, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    with open_source(files.of("sd1")) as source:
        write_diffusers(to_diffusers(make_plan(source, ConvertOptions())), tmp_path / "folder")
    of_folder = picture(assembler(Recipe(model=str(tmp_path / "folder"))))
    assert torch.equal(of_folder, picture(assembler(Recipe(model=str(files.of("sd1"))))))


def test_the_same_seed_gives_the_same_picture_again(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    recipe = Recipe(model=str(files.of("sd1")))
    first = picture(assembler(recipe))
    assert torch.equal(first, picture(assembler(recipe)))


@pytest.mark.parametrize(
    ("model", "pipeline"),
    [
        ("refiner", "StableDiffusionXLImg2ImgPipeline"),
        ("inpainting", "StableDiffusionInpaintPipeline"),
        ("pix2pix", "StableDiffusionInstructPix2PixPipeline"),
        ("depth", "StableDiffusionDepth2ImgPipeline"),
    ],
)
def test_a_model_that_wants_a_picture_too_gets_a_blank_one(
    model: str, pipeline: str, files: Files, assembler: Assembler, torch: Any
) -> None:
    assembled = assembler(Recipe(model=str(files.of(model))))
    assert assembled.pipeline_class == pipeline
    made = picture(assembled, steps=2)
    assert made.shape == (1, 3, SIZE, SIZE)
    assert torch.isfinite(made).all()
    assert made.std() > 0.01


def test_nothing_is_asked_over_the_network(
    files: Files, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    from modelhub.render.pipelines import tokenizers

    tokenizers._made.cache_clear()
    assert picture(assembler(Recipe(model=str(files.of("sdxl"))))).std() > 0.01
