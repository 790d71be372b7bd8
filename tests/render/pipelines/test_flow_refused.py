"""What no picture comes of, with models of flow matching, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights import flux, sd1
from modelhub.demo.weights.tables import Tensor
from modelhub.errors import AddonMisfit, CannotRender, PartsMissing, UsageError
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.request import Recipe
from tests.render.pipelines import qwen_tables
from tests.render.pipelines.conftest import Assembler
from tests.render.pipelines.flow_models import SD3, T5, VAE, Shelf

pytestmark = pytest.mark.filterwarnings("ignore")


def test_parts_of_another_model_are_refused_before_they_are_loaded(shelf: Shelf) -> None:
    other_vae = shelf.file("vae of 4", sd1.autoencoder(sd1.Widths(vae=VAE)))
    wide = shelf.file("t5 wide", flux.t5_encoder(replace(flux.T5_TINY, width=80)))
    recipe = shelf.flux()
    with (
        pytest.raises(AddonMisfit, match="4 channels"),
        blueprint_of(Recipe(model=recipe.model, vae=other_vae, parts=recipe.parts)),
    ):
        pass
    with (
        pytest.raises(AddonMisfit, match="text_encoder_2 give 80"),
        blueprint_of(shelf.flux({"text_encoder_2": wide})),
    ):
        pass
    with (
        pytest.raises(CannotRender, match="does not have the text encoder T5-XXL"),
        blueprint_of(shelf.flux({"text_encoder_2": shelf.vae})),
    ):
        pass


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"tokenizer_2": "/nowhere"}, "is no tokenizer"),
        ({"text_encoder_9": "/nowhere"}, "no part of this pipeline"),
    ],
)
def test_a_part_that_makes_no_sense_is_told(parts: dict[str, str], told: str, shelf: Shelf) -> None:
    with pytest.raises(CannotRender, match=told), blueprint_of(shelf.flux(parts)):
        pass


def test_a_tokenizer_that_is_none_is_told(
    shelf: Shelf, assembler: Assembler, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": [1, 2')
    with pytest.raises(CannotRender, match="no tokenizer can be made of it"):
        assembler(shelf.flux({"tokenizer_2": str(tmp_path / "tokenizer.json")}))


def test_weights_that_are_quantised_in_blocks_are_refused_in_words(shelf: Shelf) -> None:
    layer = "encoder.block.0.layer.0.SelfAttention.q"
    scaled = [*T5, Tensor(f"{layer}.weight_scale", (32, 3)), Tensor(f"{layer}.weight_scale_2", ())]
    recipe = shelf.flux({"text_encoder_2": shelf.file("t5 in blocks", scaled)})
    with pytest.raises(CannotRender, match="as nvfp4 has them"), blueprint_of(recipe):
        pass


def test_a_model_that_wants_a_picture_is_refused(shelf: Shelf) -> None:
    fill = [
        replace(one, shape=(one.shape[0], 384)) if one.name == "img_in.weight" else one
        for one in flux.transformer(flux.TINY)
    ]
    recipe = replace_model(shelf.flux(), shelf.file("fill", fill))
    with pytest.raises(CannotRender, match="no picture of a text alone"), blueprint_of(recipe):
        pass


def test_qwen_image_layered_is_refused_because_it_takes_a_picture_apart(shelf: Shelf) -> None:
    true_caption = replace(qwen_tables.TINY, caption=3584, blocks=1)
    mark = Tensor("time_text_embed.addition_t_embedding.weight", (2, 64))
    path = shelf.file("layered", [*qwen_tables.transformer(true_caption), mark])
    with (
        pytest.raises(CannotRender, match=r"\(qwen layered\) takes a picture apart into layers"),
        blueprint_of(replace_model(shelf.recipe("qwen"), path)),
    ):
        pass


def test_what_qwen_image_lacks_is_told_with_the_usual_names_of_its_files(shelf: Shelf) -> None:
    model = shelf.recipe("qwen").model
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=model)):
        pass
    for word in ("Qwen2.5-VL-7B", "VAE of wan", "the tokenizer of Qwen2.5"):
        assert word in caught.value.message
    for name in ("qwen_image_vae.safetensors", "qwen_2.5_vl_7b.safetensors", "Hugging Face"):
        assert name in caught.value.hint


def replace_model(recipe: Recipe, model: str) -> Recipe:
    """The same parts around another transformer."""
    return Recipe(model=model, vae=recipe.vae, parts=recipe.parts)


def test_what_flux_lacks_is_told_with_what_would_supply_it(shelf: Shelf) -> None:
    model = shelf.flux().model
    with pytest.raises(PartsMissing) as caught, blueprint_of(Recipe(model=model)):
        pass
    for word in ("VAE", "CLIP-L", "T5-XXL", "the tokenizer of T5 (it is not bundled)"):
        assert word in caught.value.message
    assert "--part tokenizer_2=FOLDER" in caught.value.hint


def test_a_size_between_patches_is_refused(shelf: Shelf, torch: Any) -> None:
    with blueprint_of(Recipe(model=shelf.file("sd3", SD3))) as blueprint:
        blueprint.check_size(64, 128)
        with pytest.raises(UsageError, match="multiples of 16"):
            blueprint.check_size(64, 72)


def test_a_transformer_that_is_not_whole_is_refused(shelf: Shelf, assembler: Assembler) -> None:
    whole = flux.transformer(flux.TINY)
    for gone, told in (("txt_in.weight", "context_embedder.weight"), ("img_mlp.0.bias", "missing")):
        table = [one for one in whole if not one.name.endswith(gone)]
        recipe = replace_model(shelf.flux(), shelf.file(f"without {gone}", table))
        with pytest.raises(CannotRender, match=told):
            assembler(recipe)


def test_shapes_that_no_module_has_are_refused(shelf: Shelf, assembler: Assembler) -> None:
    odd = [
        replace(one, shape=(48,)) if one.name.endswith("_norm.scale") else one
        for one in flux.transformer(flux.TINY)
    ]
    recipe = replace_model(shelf.flux(), shelf.file("odd heads", odd))
    with pytest.raises(CannotRender, match=r"heads of 48|wrong shape"):
        assembler(recipe)
