"""Qwen-Image 2.1 and Krea 2: what only they have, of their VAE, their text encoder and guidance."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned, Values
from modelhub.demo.weights.tables import Tensor
from modelhub.errors import AddonMisfit, CannotRender, FormatError, PartsMissing
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.reading import read_model
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.encoders import encoder_of
from modelhub.render.pipelines.modules import empty_module, filled_module
from modelhub.render.pipelines.reading import read_tensors
from modelhub.render.pipelines.tokenizers import tokenizer_at
from modelhub.render.pipelines.unseeing import TextProcessor
from modelhub.render.request import Recipe, Settings
from modelhub.render.worker.decoding import decode, on_white, unpacked
from modelhub.render.worker.drawing import conditioning, guidance
from tests.render.pipelines import krea2_tables, qwen21_tables
from tests.render.pipelines.conftest import SIZE, Assembler, called
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.flow_tables import language_model
from tests.render.pipelines.seeing import whole_qwen3_vl

pytestmark = pytest.mark.filterwarnings("ignore")


def _planned(path: str) -> dict[str, Planned]:
    with open_source(Path(path)) as source:
        return {name: Planned(name, one, one.dtype) for name, one in source.tensors.items()}


@pytest.mark.parametrize("of_frames", [False, True])
def test_the_vae_of_2_1_has_the_names_and_shapes_of_its_class(
    of_frames: bool, shelf: Shelf, torch: Any
) -> None:
    table = qwen21_tables.autoencoder(96, 144, of_frames=of_frames)
    planned = {one.name: Planned(one.name, _Shape(one.shape), "F32") for one in table}
    made = autoencoder_of("qwen21", planned, Identity())
    assert (made.channels, made.pixels) == (64, 16)
    module = empty_module(("diffusers", made.model_class), made.config)
    shapes = {name: tuple(one.shape) for name, one in module.state_dict().items()}
    assert {one.name: one.values.shape for one in made.tensors} == shapes
    again = {one.name: one for one in made.tensors}
    assert autoencoder_of("qwen21", again, Identity()).config == made.config
    defaults = dict(empty_module(("diffusers", made.model_class), {}).config)
    assert {name: defaults[name] for name in made.config} == made.config


class _Shape(Values):
    """Values of which nobody asks but the shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = "F32", shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("values were read")


def test_a_vae_of_other_latents_is_refused(shelf: Shelf) -> None:
    with pytest.raises(FormatError, match=r"16 channels, and those of Qwen-Image 2\.1 64"):
        autoencoder_of("qwen21", _planned(shelf.recipe("qwen").vae or ""), Identity())


def test_files_are_told_by_their_tensors(shelf: Shelf) -> None:
    for name, expected in (("qwen21", ("qwen", "2.1")), ("krea2", ("krea2", None))):
        found = identify(read_model(Path(shelf.recipe(name).model)))
        assert (found.architecture, found.edition) == expected
        assert not found.guessed & {"architecture", "edition"}
    vae = identify(read_model(Path(shelf.recipe("qwen21").vae or "")))
    assert (vae.architecture, vae.edition) == ("qwen", "64-channel")


@pytest.mark.parametrize(
    ("name", "edition"), [("krea2_raw_bf16", "raw"), ("my krea2 turbo", "turbo")]
)
def test_the_name_of_a_krea_2_tells_which_it_is(name: str, edition: str, shelf: Shelf) -> None:
    path = shelf.file(name, krea2_tables.transformer(krea2_tables.TINY))
    recipe = shelf.recipe("krea2")
    with blueprint_of(Recipe(model=path, vae=recipe.vae, parts=recipe.parts)) as made:
        assert made.identity.edition == edition
        assert made.settings == {"is_distilled": edition != "raw"}
        assert made.side == 16
    with blueprint_of(recipe) as made:
        assert made.settings == {"is_distilled": True}


def test_pictures_of_2_1_are_multiples_of_32(shelf: Shelf) -> None:
    with blueprint_of(shelf.recipe("qwen21")) as made:
        assert made.side == 32
        assert made.scheduler["shift_terminal"] == 0.02


@pytest.mark.parametrize(
    ("name", "words", "usual"),
    [
        ("qwen21", ("the VAE of Qwen-Image 2.1", "Qwen3-VL-8B", "the tokenizer of Qwen3"),
         ("qwen_image_2.1_vae_bf16.safetensors", "qwen3vl_8b_bf16.safetensors")),
        ("krea2", ("a VAE of wan", "Qwen3-VL-4B", "the tokenizer of Qwen3"),
         ("qwen_image_vae.safetensors", "qwen3vl_4b_bf16.safetensors")),
    ],
)  # fmt: skip
def test_what_they_lack_is_told_with_the_usual_names(
    name: str, words: tuple[str, ...], usual: tuple[str, ...], shelf: Shelf
) -> None:
    with (
        pytest.raises(PartsMissing) as caught,
        blueprint_of(Recipe(model=shelf.recipe(name).model)),
    ):
        pass
    for word in words:
        assert word in caught.value.message
    for word in usual:
        assert word in caught.value.hint


def test_a_vae_of_the_other_qwen_image_does_not_go_with_it(shelf: Shelf) -> None:
    ours, other = shelf.recipe("qwen21"), shelf.recipe("qwen")
    with (
        pytest.raises((AddonMisfit, CannotRender), match="64"),
        blueprint_of(Recipe(model=ours.model, vae=other.vae, parts=ours.parts)),
    ):
        pass


def test_a_text_encoder_with_too_few_layers_for_krea_2_is_refused(shelf: Shelf) -> None:
    recipe = shelf.recipe("krea2")
    short = shelf.file("short", language_model(32, 16, gemma=False, layers=34))
    parts = {**recipe.parts, "text_encoder": short}
    with (
        pytest.raises(CannotRender, match="34 layers, and 35 are read"),
        blueprint_of(Recipe(model=recipe.model, vae=recipe.vae, parts=parts)),
    ):
        pass


def test_krea_2_reads_the_layers_of_the_whole_model_that_can_see(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    recipe = shelf.recipe("krea2")
    pipe = assembler(recipe).pipe
    with open_source(Path(recipe.parts["text_encoder"])) as source:
        tensors = {name: Planned(name, one, one.dtype) for name, one in source.tensors.items()}
        every = encoder_of(tensors, seeing=True)
        assert every.model_class == "Qwen3VLTextModel"
        read = read_tensors(
            every.tensors, dtype=torch.float32, rounding=None, advanced=lambda _: None,
            cancel=threading.Event(),
        )  # fmt: skip
    text = filled_module(("transformers", every.model_class), every.config, read.tensors, where="")
    ours, mask = pipe.get_text_hidden_states("a photo of a cat", 24)
    pipe.register_modules(text_encoder=whole_qwen3_vl(text).model)
    theirs, same = pipe.get_text_hidden_states("a photo of a cat", 24)
    assert torch.equal(mask, same)
    assert ours.shape[2] == 12
    assert torch.allclose(ours[mask], theirs[mask], atol=1e-5)


def test_the_guidance_of_krea_2_is_counted_as_elsewhere(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    pipe = assembler(shelf.recipe("krea2")).pipe
    assert guidance(pipe, 4.5) == {"guidance_scale": 3.5}
    assert guidance(pipe, 1.0) == {"guidance_scale": 0.0}
    assert guidance(assembler(shelf.recipe("flux")).pipe, 4.5) == {"guidance_scale": 4.5}
    one, other = (
        called(pipe, width=SIZE, height=SIZE, negative_prompt="a dog", guidance_scale=scale)
        for cfg in (1.0, 4.0)
        for scale in guidance(pipe, cfg).values()
    )
    assert not torch.equal(one, other)


def test_2_1_is_guided_where_it_is_asked_for(
    shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    pipe = assembler(shelf.recipe("qwen21")).pipe

    def arguments(cfg: float, negative: str) -> Any:
        settings = Settings(prompt="a cat", negative=negative, cfg=cfg)
        return conditioning(pipe, settings, (), lambda: None, "cpu").arguments

    assert arguments(1.0, "a dog") == {"prompt": "a cat", "true_cfg_scale": 1.0}
    assert arguments(3.0, "")["negative_prompt"] == " "
    assert arguments(3.0, "a dog")["negative_prompt"] == "a dog"
    assert guidance(pipe, 3.0) == {}


def test_the_words_before_a_prompt_are_counted_as_its_tokenizer_splits_them(
    shelf: Shelf, assembler: Assembler
) -> None:
    pipe = assembler(shelf.recipe("qwen21")).pipe
    before = f"<|im_start|>system\n{pipe.sys_prompt}<|im_end|>\n"
    assert pipe._drop_idx == len(
        pipe.processor.tokenizer(before, add_special_tokens=False).input_ids
    )


def test_a_tokenizer_without_the_word_for_pictures_is_none_of_qwen(
    shelf: Shelf, tmp_path: Path, torch: Any
) -> None:
    made = json.loads((Path(shelf.tokenizer) / "tokenizer.json").read_text())
    made["added_tokens"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(made))
    with pytest.raises(CannotRender, match="none of Qwen3-VL"):
        TextProcessor(tokenizer_at(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize("name", ["qwen21", "krea2"])
def test_latents_are_decoded_as_the_pipeline_does(
    name: str, shelf: Shelf, assembler: Assembler, torch: Any
) -> None:
    pipe = assembler(shelf.recipe(name)).pipe
    whole = called(pipe, steps=2, width=SIZE, height=SIZE)[0].permute(1, 2, 0)
    options = {"generator": torch.Generator().manual_seed(3), "num_inference_steps": 2}
    latents = pipe(
        "a photo of a cat", width=SIZE, height=SIZE, output_type="latent", **options
    ).images
    ours = decode(pipe.vae, unpacked(pipe, latents, SIZE, SIZE))
    assert ours.shape == (SIZE, SIZE, 3)
    assert ours.std() > 0.01
    np.testing.assert_allclose(ours, on_white(whole).numpy(), atol=1e-5)


def test_what_is_transparent_is_white(torch: Any) -> None:
    picture = torch.tensor([[[0.2, 0.4, 0.6, 1.0], [0.2, 0.4, 0.6, 0.0], [0.2, 0.4, 0.6, 0.5]]])
    expected = torch.tensor([[[0.2, 0.4, 0.6], [1.0, 1.0, 1.0], [0.6, 0.7, 0.8]]])
    assert torch.allclose(on_white(picture), expected)
    assert torch.equal(on_white(picture[..., :3]), picture[..., :3])


@pytest.mark.parametrize("name", ["qwen21", "krea2"])
def test_a_folder_of_diffusers_gives_the_picture_of_the_single_files(
    name: str, shelf: Shelf, assembler: Assembler, tmp_path: Path, torch: Any
) -> None:
    assembled = assembler(shelf.recipe(name))
    for part in ("transformer", "vae"):
        assembled.parts[part].module.save_pretrained(tmp_path / part)
    encoder = assembled.parts["text_encoder"].module
    target = tmp_path / "text_encoder"
    if name == "qwen21":
        whole_qwen3_vl(encoder).save_pretrained(target)
        assembled.pipe.processor.tokenizer.save_pretrained(tmp_path / "processor")
    else:
        target.mkdir()
        (target / "model.safetensors").hardlink_to(shelf.recipe(name).parts["text_encoder"])
        (target / "config.json").write_text("{}")
        assembled.pipe.tokenizer.save_pretrained(tmp_path / "tokenizer")
    parts = {key: list(one.model_class) for key, one in assembled.parts.items()}
    (tmp_path / "model_index.json").write_text(
        json.dumps({"_class_name": assembled.pipeline_class, **parts})
    )
    of_folder = Assembler()(Recipe(model=str(tmp_path)))
    options = {"steps": 2, "width": SIZE, "height": SIZE}
    made = called(assembled.pipe, **options)
    assert made.std() > 0.01
    assert torch.equal(called(of_folder.pipe, **options), made)


@pytest.mark.parametrize("sees", [True, False])
def test_a_text_encoder_that_may_be_another_qwen_is_told(sees: bool, shelf: Shelf) -> None:
    recipe = shelf.recipe("krea2")
    table = language_model(32, 16, gemma=False, layers=36)
    if sees:
        table = [*table, Tensor("model.visual.patch_embed.proj.weight", (32, 3, 2, 4, 4))]
    parts = {**recipe.parts, "text_encoder": shelf.file(f"sees {sees}", table)}
    with blueprint_of(Recipe(model=recipe.model, vae=recipe.vae, parts=parts)) as made:
        told = [one for one in made.notices if "tells that it is Qwen3-VL-4B" in one]
        assert bool(told) is not sees


@pytest.mark.parametrize("lacking", ["QwenImage21Transformer2DModel", "QwenImage21Pipeline"])
def test_a_class_that_an_older_diffusers_does_not_have_is_told(
    lacking: str, shelf: Shelf, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("diffusers"), lacking, None)
    with pytest.raises(CannotRender, match=f"does not have {lacking}"):
        assembler(shelf.recipe("qwen21"))
