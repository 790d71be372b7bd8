"""Diffusers loads the folders that are made here, and computes the same with them as with the file.

The models are of true layout and small widths. `from_single_file` is diffusers' own conversion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelhub.convert.diffusers import from_diffusers, to_diffusers
from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned
from modelhub.convert.writers import write_diffusers
from modelhub.demo.weights import sd1, sd2, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Table
from tests.convert.made import bytes_of

pytestmark = pytest.mark.filterwarnings("ignore")

_VOCABULARY = 49_408
_MODELS: dict[str, Table] = {
    "sd1": sd1.checkpoint(replace(sd1.TINY, text_layers=3)),
    "sd2": sd2.checkpoint(sd2.TINY),
    "sdxl": sdxl.checkpoint(sdxl.TINY),
    "refiner": sdxl.refiner(sdxl.TINY),
}
_CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
}


@pytest.fixture(scope="module", name="libraries")
def _libraries() -> Iterator[dict[str, Any]]:
    """The libraries, told to stay offline and silent."""
    import os

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
        import diffusers
        import torch
        import transformers

        loaded: dict[str, Any] = {"diffusers": diffusers, "transformers": transformers}
        for logging in (loaded["diffusers"].utils.logging, loaded["transformers"].logging):
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield loaded | {"torch": torch}
        torch.set_num_threads(threads)


class Conversions:
    """Checkpoints, and the folders that they were converted to, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, model: str) -> tuple[Path, Path]:
        """The single file of that model, and its folder."""
        single = self._folder / f"{model}.safetensors"
        target = self._folder / model
        if not target.exists():
            write_safetensors(single, _MODELS[model], seed=7, metadata={})
            with open_source(single) as source:
                planned = (Planned(name, one, one.dtype) for name, one in source.tensors.items())
                write_diffusers(to_diffusers(Plan(tensors=tuple(planned))), target)
        return single, target


@pytest.fixture(scope="module", name="conversions")
def _conversions(tmp_path_factory: pytest.TempPathFactory) -> Conversions:
    return Conversions(tmp_path_factory.mktemp("converted"))


def _aligned(pipeline: Any) -> Any:
    """The same, its weights in memory of their own.

    Both loaders map their files; where a tensor then starts in memory sets the order in which
    vectorised kernels add up, and so the last bit of what they compute.
    """
    for name in _CLASSES:
        part = getattr(pipeline, name, None)
        for tensor in part.parameters() if part is not None else ():
            tensor.data = tensor.data.clone()
    return pipeline


def _equal(torch: Any, one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def _picture(torch: Any, model: str, pipeline: Any) -> Any:
    """What one step with a seed gives, as numbers."""
    pipeline.set_progress_bar_config(disable=True)
    numbers = torch.Generator().manual_seed(3)
    options: dict[str, Any] = {"num_inference_steps": 1, "output_type": "pt"}
    if model == "refiner":
        options["image"] = torch.rand(1, 3, 64, 64, generator=numbers)
        options["strength"] = 1.0
    else:
        options |= {"height": 64, "width": 64}
    return pipeline("a photo of a cat", generator=numbers, **options).images


@pytest.mark.parametrize("model", _MODELS)
def test_the_folder_gives_the_same_picture_as_the_file(
    model: str, conversions: Conversions, libraries: dict[str, Any]
) -> None:
    torch, diffusers = libraries["torch"], libraries["diffusers"]
    single, folder = conversions.of(model)
    of_folder = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    of_file = type(of_folder).from_single_file(
        str(single), config=str(folder), local_files_only=True
    )
    parts = [name for name in _CLASSES if getattr(of_folder, name, None) is not None]
    assert len(parts) >= 3
    for name in parts:
        assert _equal(torch, getattr(of_folder, name), getattr(of_file, name)), name
    picture = _picture(torch, model, _aligned(of_folder))
    assert picture.shape == (1, 3, 64, 64)
    assert torch.isfinite(picture).all()
    assert picture.std() > 0.01
    assert torch.equal(picture, _picture(torch, model, _aligned(of_file)))


@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_no_tensor_of_a_part_is_missing_or_unexpected(
    model: str, conversions: Conversions, libraries: dict[str, Any]
) -> None:
    _, folder = conversions.of(model)
    for part, (library, kind) in _CLASSES.items():
        if not (folder / part).is_dir():
            assert part == "text_encoder_2"
            continue
        loader = getattr(libraries[library], kind)
        _, told = loader.from_pretrained(folder / part, output_loading_info=True)
        assert not told["missing_keys"], part
        assert not told["unexpected_keys"], part
        assert not told["mismatched_keys"], part


def test_the_tokenizer_of_the_folder_numbers_words_as_clip_does(
    conversions: Conversions, libraries: dict[str, Any]
) -> None:
    _, folder = conversions.of("sdxl")
    for place, padding in (("tokenizer", 49_407), ("tokenizer_2", 0)):
        tokenizer = libraries["transformers"].CLIPTokenizer.from_pretrained(folder / place)
        assert len(tokenizer) == _VOCABULARY
        assert tokenizer("a photo of a cat").input_ids == [
            49406, 320, 1125, 539, 320, 2368, 49407,
        ]  # fmt: skip
        filled = tokenizer("cat", padding="max_length", max_length=77).input_ids
        assert filled == [49406, 2368, 49407, *[padding] * 74]


def test_a_folder_on_disk_becomes_the_single_file_that_it_was_made_of(
    conversions: Conversions,
) -> None:
    single, folder = conversions.of("sdxl")
    with open_source(single) as source, open_source(folder) as parts:
        back = {one.name: one.values for one in from_diffusers(parts).tensors}
        lost = set(source.tensors) - set(back)
        assert lost == {"conditioner.embedders.1.model.logit_scale"}
        for name, values in back.items():
            assert values.shape == source.tensors[name].shape
            assert bytes_of(values) == bytes_of(source.tensors[name]), name


def test_the_activation_in_the_folders_settings_tells_the_encoder_of_sd2(
    conversions: Conversions,
) -> None:
    _, folder = conversions.of("sd2")
    with open_source(folder) as parts:
        names = [one.name for one in from_diffusers(parts).tensors]
    assert "cond_stage_model.model.transformer.resblocks.2.attn.in_proj_bias" in names
