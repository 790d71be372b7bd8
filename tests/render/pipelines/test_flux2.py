"""FLUX.2: each edition has the parts that are its own, and what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhub.convert.values import Planned, Values
from modelhub.demo.weights.tables import Table, Tensor
from modelhub.errors import AddonMisfit, CannotRender, PartsMissing
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.render.defaults import resolve
from modelhub.render.pipelines.architectures import PIPELINES, pipeline_for
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.configs import transformer_config
from modelhub.render.pipelines.flow.names import rules_for
from modelhub.render.pipelines.flow.renaming import renamed
from modelhub.render.pipelines.tokenizers import tokenizer_at
from modelhub.render.request import Recipe, Settings
from tests.formats.identify.layouts import header
from tests.render.pipelines import flux2_tables
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.flow_tables import language_model
from tests.render.pipelines.tokenizer_folder import write_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")

_EDITIONS = {
    "dev": flux2_tables.Widths(),
    "klein 4B": flux2_tables.KLEIN_4B,
    "klein 9B": flux2_tables.KLEIN_9B,
}


class _Shape(Values):
    """Values of which nobody asks but the shape."""

    def __init__(self, one: Tensor) -> None:
        self.dtype, self.shape = one.dtype, one.shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("values were read")


def _planned(table: Table) -> dict[str, Planned]:
    return {one.name: Planned(one.name, _Shape(one), one.dtype) for one in table}


def _identity(table: Table, name: str = "model.safetensors") -> Identity:
    return identify(header({one.name: one.shape for one in table}), name=name)


@pytest.mark.parametrize("edition", _EDITIONS)
def test_each_edition_is_told_and_has_the_module_of_its_shapes(edition: str, torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    table = flux2_tables.transformer(_EDITIONS[edition])
    identity = _identity(table)
    assert (identity.architecture, identity.edition) == ("flux2", edition)
    planned = _planned(table)
    made = {one.name: one.values.shape for one in renamed(rules_for("flux2", planned), planned, 0)}
    config = transformer_config("flux2", PartShapes(made))
    module = empty_module(("diffusers", PIPELINES["flux2"].transformer_class), config)
    assert {name: tuple(one.shape) for name, one in module.state_dict().items()} == made
    # The widths of Mistral Small, Qwen3-4B and Qwen3-8B.
    widths = {"dev": 5120, "klein 4B": 2560, "klein 9B": 4096}
    assert config["joint_attention_dim"] == widths[edition] * 3
    assert config["guidance_embeds"] is (edition == "dev")


_WANTED = {
    "dev": ("Mistral-Small-24B", "mistral_3_small_flux2_bf16.safetensors", "Mistral Small"),
    "klein 4B": ("Qwen3-4B", "qwen_3_4b.safetensors", "Qwen3"),
    "klein 9B": ("Qwen3-8B", "qwen_3_8b.safetensors", "Qwen3"),
}


@pytest.mark.parametrize("edition", _WANTED)
def test_an_edition_lacks_the_parts_that_are_its_own(edition: str, shelf: Shelf) -> None:
    named = {"modelspec.architecture": f"flux-2-{edition.lower().replace(' ', '-')}"}
    model = shelf.file(f"alone {edition}", flux2_tables.transformer(flux2_tables.TINY), named)
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=model)):
        pass
    encoder, file, tokenizer = _WANTED[edition]
    for word in ("a VAE of flux2", f"the text encoder {encoder}", f"the tokenizer of {tokenizer}"):
        assert word in caught.value.message
    assert file in caught.value.hint
    assert "flux2-vae.safetensors" in caught.value.hint


def test_flux_2_of_no_known_edition_has_the_parts_of_dev() -> None:
    assert pipeline_for(Identity(architecture="flux2")) is PIPELINES["flux2"]
    assert pipeline_for(Identity(architecture="flux", edition="klein 4B")) is PIPELINES["flux"]
    assert pipeline_for(Identity(architecture="hunyuan")) is None


def test_the_vae_is_flux_2s_class_with_what_its_batch_norm_counted(torch: Any) -> None:
    import diffusers

    from modelhub.render.pipelines.modules import empty_module

    made = autoencoder_of("flux2", _planned(flux2_tables.autoencoder(128)), Identity())
    usual = diffusers.AutoencoderKLFlux2.__init__
    assert made.model_class == "AutoencoderKLFlux2"
    assert made.channels == 32
    module = empty_module(("diffusers", made.model_class), made.config)
    assert {one.name: one.values.shape for one in made.tensors} == {
        name: tuple(one.shape) for name, one in module.state_dict().items()
    }
    import inspect

    for name, one in inspect.signature(usual).parameters.items():
        if name in made.config:
            value = made.config[name]
            assert (tuple(value) if isinstance(value, list) else value) == one.default, name
    again = {one.name: one for one in made.tensors}
    assert autoencoder_of("flux2", again, Identity()).config == made.config


def test_the_vae_with_the_smaller_decoder_is_made_too(torch: Any) -> None:
    from modelhub.render.pipelines.modules import empty_module

    small, whole = (flux2_tables.autoencoder(width) for width in (96, 128))
    decoder = ("decoder.", "post_quant_conv.")
    table = [
        *(one for one in whole if not one.name.startswith(decoder)),
        *(one for one in small if one.name.startswith(decoder)),
    ]
    made = autoencoder_of("flux2", _planned(table), Identity())
    assert made.config["decoder_block_out_channels"] == [96, 192, 384, 384]
    module = empty_module(("diffusers", made.model_class), made.config)
    assert {one.name: one.values.shape for one in made.tensors} == {
        name: tuple(one.shape) for name, one in module.state_dict().items()
    }


def test_text_encoders_of_another_kind_or_width_are_refused(shelf: Shelf) -> None:
    kinds = {name: shelf.recipe(name) for name in ("flux2", "klein")}
    few = shelf.file("qwen of few layers", language_model(32, 16, gemma=False))
    wide = shelf.file("qwen wide", language_model(48, 16, gemma=False, layers=28))
    for name, encoder, told in (
        ("flux2", kinds["klein"].parts["text_encoder"], "does not have the text encoder Mistral"),
        ("klein", kinds["flux2"].parts["text_encoder"], "does not have the text encoder Qwen3-4B"),
        ("klein", few, "2 layers, and 27 are read"),
    ):
        recipe = kinds[name]
        parts = {**recipe.parts, "text_encoder": encoder}
        with (
            pytest.raises(CannotRender, match=told),
            blueprint_of(Recipe(model=recipe.model, vae=recipe.vae, parts=parts)),
        ):
            pass
    parts = {**kinds["klein"].parts, "text_encoder": wide}
    with (
        pytest.raises(AddonMisfit, match="give 48"),
        blueprint_of(Recipe(model=kinds["klein"].model, vae=kinds["klein"].vae, parts=parts)),
    ):
        pass


def test_flux_1s_vae_is_refused(shelf: Shelf) -> None:
    recipe = shelf.recipe("klein")
    with (
        pytest.raises(AddonMisfit, match="16 channels"),
        blueprint_of(Recipe(model=recipe.model, vae=shelf.vae, parts=recipe.parts)),
    ):
        pass


@pytest.mark.parametrize(
    ("edition", "name", "steps", "cfg"),
    [
        ("dev", "flux2-dev", 28, 4.0),
        ("klein 4B", "flux-2-klein-4b", 4, 1.0),
        ("klein 9B", "flux-2-klein-9b", 4, 1.0),
        ("klein 4B", "flux-2-klein-base-4b", 50, 4.0),
        ("klein 9B", "flux-2-klein-base-9b", 50, 4.0),
        ("dev", "flux2-dev-base", 28, 4.0),
    ],
)
def test_each_edition_is_rendered_as_its_makers_do(
    edition: str, name: str, steps: int, cfg: float
) -> None:
    found = _identity(flux2_tables.transformer(_EDITIONS[edition]), f"{name}.safetensors")
    settings = resolve(Settings(prompt="a cat"), found).settings
    assert (settings.steps, settings.cfg, settings.sampler) == (steps, cfg, "Euler")
    assert (settings.width, settings.height) == (1024, 1024)


def test_klein_reads_qwen_3s_words_of_the_tokenizer_of_qwen_2_5(tmp_path: Path, torch: Any) -> None:
    words = {f"w{number}": number for number in range(151_665)}
    whole = {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    made = tokenizer_at(tmp_path / "tokenizer.json", "Flux2KleinPipeline")
    assert made.convert_tokens_to_ids(["<think>", "</think>"]) == [151_667, 151_668]


def test_what_stands_around_a_prompt_is_the_same_with_every_tokenizer(
    tmp_path: Path, torch: Any
) -> None:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    folder = write_tokenizer(tmp_path / "tokenizer")
    klein = tokenizer_at(folder, "Flux2KleinPipeline")
    asked = [{"role": "user", "content": "a cat"}]
    text = klein.apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert text == (
        "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    turbo = tokenizer_at(folder, "ZImagePipeline")
    text = turbo.apply_chat_template(asked, tokenize=False)
    assert text == "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n"
    dev = tokenizer_at(folder, "Flux2Pipeline")
    [text] = dev.apply_chat_template(format_input(["a cat"], "Be good."), tokenize=False)
    assert text == "<s>[SYSTEM_PROMPT]Be good.[/SYSTEM_PROMPT][INST]a cat[/INST]"
    assert dev.padding_side == "left"
