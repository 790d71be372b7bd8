"""What is told of a Wan: what it lacks, what does not go with it, what it is rendered with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelhub.demo.weights.tables import Tensor
from modelhub.errors import AddonMisfit, CannotRender, PartsMissing, UsageError
from modelhub.formats.identify import identify
from modelhub.formats.tensors import FileFormat, Header
from modelhub.formats.tensors import Tensor as Entry
from modelhub.render.defaults import resolve
from modelhub.render.memory import estimate
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.missing import missing_parts
from modelhub.render.request import Recipe, Settings
from tests.formats.identify.real_headers import descriptions, shapes_of
from tests.render.pipelines import qwen_tables, wan_models, wan_tables
from tests.render.pipelines.conftest import Assembler
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.wan_models import OF_5B
from tests.render.pipelines.wan_tables import TINY

pytestmark = pytest.mark.filterwarnings("ignore")
_WITH_A_PICTURE = replace(TINY, taken=36)


@pytest.fixture(name="both")
def _both(shelf: Shelf) -> Recipe:
    return wan_models.both(shelf)


def test_one_of_the_two_transformers_of_2_2_is_told(shelf: Shelf, assembler: Assembler) -> None:
    for name, told in (
        ("wan2.2 t2v low noise 14B", "low-noise half of Wan 2.2 alone"),
        ("wan2.2 t2v high noise 14B", "not trained to finish"),
    ):
        assembler(wan_models.recipe(shelf, name))
        assert any(told in one for one in assembler.warnings), assembler.warnings


def test_transformers_the_other_way_round_are_refused(shelf: Shelf, both: Recipe) -> None:
    low = both.parts["transformer_2"]
    parts = {**both.parts, "transformer_2": both.model}
    with (
        pytest.raises(CannotRender, match="the other way round"),
        blueprint_of(Recipe(model=low, vae=both.vae, parts=parts)),
    ):
        pass


def test_a_second_transformer_of_another_model_is_refused(shelf: Shelf, both: Recipe) -> None:
    larger = shelf.file("larger", wan_tables.transformer(replace(TINY, inner=192)))
    for path, error, told in (
        (larger, AddonMisfit, "other shapes"),
        (str(both.vae), CannotRender, "no transformer of Wan"),
    ):
        recipe = Recipe(model=both.model, vae=both.vae, parts={**both.parts, "transformer_2": path})
        with pytest.raises(error, match=told), blueprint_of(recipe):
            pass


@pytest.mark.parametrize(
    "mark",
    [
        Tensor("img_emb.proj.0.bias", (1280,)),
        Tensor("vace_patch_embedding.weight", (128, 96, 1, 2, 2)),
        Tensor("casual_audio_encoder.encoder.final_linear.weight", (8, 8)),
        Tensor("motion_encoder.dec.direction.weight", (8, 8)),
    ],
    ids=lambda mark: mark.name.partition(".")[0],
)
def test_what_wants_more_than_a_text_is_refused_by_its_edition(mark: Tensor, shelf: Shelf) -> None:
    path = shelf.file(f"wan {mark.name}", [*wan_tables.transformer(TINY), mark])
    with (
        pytest.raises(CannotRender, match=r"\(wan .+\) makes no picture of a text alone"),
        blueprint_of(Recipe(model=path)),
    ):
        pass


def test_what_takes_a_picture_is_refused_by_its_channels(shelf: Shelf) -> None:
    recipe = wan_models.recipe(shelf, "wan of pictures", _WITH_A_PICTURE)
    with pytest.raises(CannotRender, match="takes 36 channels and gives 16"), blueprint_of(recipe):
        pass


def test_the_vae_of_the_other_wan_is_refused(shelf: Shelf) -> None:
    recipe = wan_models.recipe(shelf, "wan of 48", OF_5B)
    vae = shelf.file("wan vae", qwen_tables.autoencoder(8))
    with (
        pytest.raises(AddonMisfit, match="16 channels of latents"),
        blueprint_of(Recipe(model=recipe.model, vae=vae, parts=recipe.parts)),
    ):
        pass


def test_the_memory_for_decoding_is_that_of_the_vaes_own_width(shelf: Shelf) -> None:
    with blueprint_of(wan_models.recipe(shelf)) as blueprint:
        parts = {one.folder: (one, 4) for one in blueprint.parts}
    own = estimate(parts, width=512, height=512)
    vae = replace(parts["vae"][0], config={"block_out_channels": [8, 16, 32, 32]})
    assert estimate({**parts, "vae": (vae, 4)}, width=512, height=512) == own


def test_sizes_are_those_of_the_patches(shelf: Shelf) -> None:
    for widths, side in ((TINY, 16), (OF_5B, 32)):
        with blueprint_of(wan_models.recipe(shelf, f"wan of {widths.given}", widths)) as blueprint:
            blueprint.check_size(side, side * 3)
            with pytest.raises(UsageError, match=f"multiples of {side}"):
                blueprint.check_size(side, side * 3 + side // 2)


def test_what_wan_lacks_is_told_with_the_usual_names_of_its_files(shelf: Shelf) -> None:
    with (
        pytest.raises(PartsMissing) as caught,
        blueprint_of(Recipe(model=shelf.file("wan", wan_tables.transformer(TINY)))),
    ):
        pass
    for word in ("UMT5-XXL", "the VAE of Wan 2.1", "the tokenizer of UMT5"):
        assert word in caught.value.message
    for name in ("wan_2.1_vae.safetensors", "umt5_xxl_fp16.safetensors"):
        assert name in caught.value.hint


@pytest.mark.parametrize(
    ("model", "vae", "settings"),
    [
        ("wan21-t2v-1.3b", "wan21-vae", (832, 480, 50, 6.0)),
        ("wan21-t2v-14b", "wan21-vae", (1024, 1024, 50, 5.0)),
        ("wan22-ti2v-5b", "wan22-vae", (1280, 704, 50, 5.0)),
    ],
)
def test_each_published_model_has_its_vae_and_its_settings(
    model: str, vae: str, settings: tuple[int, int, int, float]
) -> None:
    identity = identify(_header(model))
    part = next(one for one in missing_parts(_header(model), identity) if one.part == "vae")
    other = "wan22-vae" if vae == "wan21-vae" else "wan21-vae"
    assert identify(_header(vae)).edition in part.fits
    assert identify(_header(other)).edition not in part.fits
    made = resolve(Settings(), identity).settings
    assert (made.width, made.height, made.steps, made.cfg) == settings
    assert (made.sampler, made.schedule) == ("UniPC bh2", "simple")


def _header(name: str) -> Header:
    shapes = shapes_of(descriptions()[name])
    return Header(
        format=FileFormat.SAFETENSORS,
        tensors={key: Entry("F16", shape, (0, 2)) for key, shape in shapes.items()},
    )
