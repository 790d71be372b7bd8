"""Text encoders in GGUF files: the catalog supplies them, and they bring their tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import PartsMissing
from modelhub.render.request import Recipe
from modelhub.services.render.completing import Completing
from modelhub.services.render.files import ModelFiles
from tests.formats.quantised import write_gguf
from tests.formats.vocabularies import unigram
from tests.formats.weights import write_safetensors
from tests.formats.written import GgufWriter
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.test_gguf_vocabularies import encoder_with, shortened

from .conftest import Studio


def test_flux_renders_with_no_tokenizer_but_that_within_its_encoder(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    shelf = Shelf(studio.root)
    recipe = shelf.flux()
    words = shortened(unigram())
    encoder = encoder_with(words, recipe, "text_encoder_2", studio.root / "t5.gguf", "flux")
    studio.index()
    parts = {"text_encoder": recipe.parts["text_encoder"], "text_encoder_2": encoder}
    wishes: dict[str, Any] = {"vae": recipe.vae, "parts": parts}
    image = studio.one(recipe.model, **wishes)
    used = {one.role: one.file for one in image.kept.files}
    assert used["part:text_encoder_2"] == Path(encoder)
    assert "part:tokenizer_2" not in used
    assert image.id is not None
    assert studio.again(image.id).identical


@pytest.fixture(name="completed")
def _completed(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the recipe of Flux's transformer whole, from the catalog; with what was told."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))

    def complete() -> tuple[Recipe, list[str]]:
        told: list[str] = []
        recipe = Shelf(tmp_path / "elsewhere").flux()
        studio.index()
        catalog = studio.library.catalog
        files = ModelFiles(catalog, allow_unsafe=False, warn=told.append)
        completing = Completing(catalog, files, (), told.append)
        given = {"text_encoder": recipe.parts["text_encoder"]}
        asked = Recipe(model=recipe.model, vae=recipe.vae, parts=given)
        return completing.completed(asked, files.at(Path(recipe.model))), told

    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    return complete


def test_the_catalog_supplies_a_gguf_encoder_and_with_it_the_tokenizer(
    studio: Studio, completed: Any
) -> None:
    norm = {"enc.output_norm.weight": np.ones(4096, np.float32)}
    path = studio.root / "t5-v1_1-xxl-encoder-Q4_K_M.gguf"
    write_gguf(path, norm, writer=unigram().write(GgufWriter()))
    recipe, told = completed()
    assert recipe.parts["text_encoder_2"] == str(path)
    assert "tokenizer_2" not in recipe.parts
    assert any(f"{path.name} supplies it" in one for one in told)
    assert any(f"{path.name} has one within" in one for one in told)


def test_a_file_that_is_not_quantised_goes_before_one_that_is_which_gives_its_words(
    studio: Studio, completed: Any
) -> None:
    norm = {"enc.output_norm.weight": np.ones(4096, np.float32)}
    write_gguf(studio.root / "t5 without.gguf", norm)
    weights = {
        "encoder.final_layer_norm.weight": np.ones(4096, np.float16),
        "encoder.block.0.layer.0.SelfAttention.k.weight": np.ones((4, 4096), np.float16),
    }
    whole = write_safetensors(studio.root / "t5xxl.safetensors", weights)
    with pytest.raises(PartsMissing, match="the tokenizer of T5") as refused:
        completed()
    assert "T5-XXL" not in refused.value.message
    path = studio.root / "t5 with words.gguf"
    write_gguf(path, norm, writer=unigram().write(GgufWriter()))
    recipe, told = completed()
    assert recipe.parts["text_encoder_2"] == str(whole)
    assert recipe.parts["tokenizer_2"] == str(path)
    assert any(f"{path} supplies it" in one for one in told)
