"""Other kinds of models through the process: SD 2.x, SDXL, its refiner, inpainting, embeddings."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from modelhub.demo.weights import sd1, sd2, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Table
from modelhub.errors import CannotRender, UsageError
from modelhub.render.answers import Rendered
from modelhub.render.request import Recipe
from tests.render.worker.conftest import Bench


def written(bench: Bench, name: str, table: Table) -> str:
    path = bench.folder / f"{name}.safetensors"
    if not path.exists():
        write_safetensors(path, table, 3, {})
    return str(path)


def pixels(made: Rendered) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(made.png)))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("sd2", sd2.checkpoint(sd2.TINY)),
        ("sdxl", sdxl.checkpoint(sdxl.TINY)),
        ("inpainting", sd1.checkpoint(replace(sd1.TINY, unet_inputs=9))),
        ("refiner", sdxl.refiner(sdxl.TINY)),
    ],
)
def test_every_kind_gives_an_image_of_its_prompt(bench: Bench, name: str, table: Table) -> None:
    model = Recipe(model=written(bench, name, table))
    cat, dog = bench.render(model), bench.render(model, prompt="a dog, dancing")
    assert (cat.width, cat.height) == (64, 64)
    assert len(np.unique(pixels(cat))) > 20
    assert cat.png != dog.png
    assert cat.faults == ()


def test_the_refiner_finishes_what_the_base_began(bench: Bench) -> None:
    base = written(bench, "sdxl", sdxl.checkpoint(sdxl.TINY))
    refiner = written(bench, "refiner", sdxl.refiner(sdxl.TINY))
    alone = bench.render(Recipe(model=base), steps=5, sampler="Euler")
    both = Recipe(model=base, refiner=refiner)
    refined = bench.render(both, steps=5, sampler="Euler")
    assert [one.done for one in bench.steps] == [0, 1, 2, 3, 4, 5]
    assert refined.png != alone.png
    assert refined.faults == ()
    early = bench.render(both, steps=5, sampler="Euler", refiner_from=0.4)
    assert early.png != refined.png
    assert bench.render(Recipe(model=base), steps=5, sampler="Euler").png == alone.png


def test_an_embedding_counts_only_where_the_prompt_names_it(bench: Bench, checkpoint: str) -> None:
    path = bench.folder / "catstyle.safetensors"
    vectors = np.random.default_rng(4).normal(size=(2, sd1.TINY.text)).astype(np.float32)
    save_file({"emb_params": vectors}, path)
    recipe = Recipe(model=checkpoint, embeddings=(str(path),))
    plain = bench.render(Recipe(model=checkpoint))
    assert bench.render(recipe).png == plain.png
    named = bench.render(recipe, prompt="a cat, catstyle")
    unknown = bench.render(Recipe(model=checkpoint), prompt="a cat, catstyle")
    assert named.png != unknown.png


def test_an_embedding_of_another_width_is_refused_where_it_is_named(
    bench: Bench, checkpoint: str
) -> None:
    path = bench.folder / "widestyle.safetensors"
    save_file({"emb_params": np.ones((2, 768), dtype=np.float32)}, path)
    recipe = Recipe(model=checkpoint, embeddings=(str(path),))
    with pytest.raises(UsageError, match="widestyle"):
        bench.render(recipe, prompt="a cat, widestyle")


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_weights_in_a_prompt_and_clip_skip_count(
    bench: Bench, checkpoint: str, clip_skip: int
) -> None:
    recipe = Recipe(model=checkpoint)
    plain = bench.render(recipe, clip_skip=clip_skip)
    weighted = bench.render(recipe, clip_skip=clip_skip, prompt="a (cat:1.5)")
    other = bench.render(recipe, clip_skip=3 - clip_skip)
    assert len({plain.png, weighted.png, other.png}) == 3


def test_a_prompt_of_ten_thousand_words_and_one_of_emoji_are_borne(
    bench: Bench, checkpoint: str
) -> None:
    recipe = Recipe(model=checkpoint)
    assert bench.render(recipe, prompt="🐈‍⬛ 🎨 💃🏽").faults == ()
    made = bench.render(recipe, prompt="cat " * 10_000)
    assert any("10,000 tokens" in one for one in made.notices)


def test_averaged_weights_that_a_file_has_not_are_refused_with_a_way_on(
    bench: Bench, checkpoint: str
) -> None:
    with pytest.raises(CannotRender, match="no EMA weights") as caught:
        bench.render(Recipe(model=checkpoint, ema=True))
    assert checkpoint in caught.value.message
    assert "without --ema" in caught.value.hint
    assert "ema:yes" in caught.value.hint
