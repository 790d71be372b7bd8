"""LoRAs on pipelines as they are assembled, whose parts others use too."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from modelhub.convert.options import Precision
from modelhub.render.addons import apply_to
from modelhub.render.devices import Device, DeviceKind
from modelhub.render.memory import Fit, Placement
from modelhub.render.pipelines.assembling import Assembled, assemble
from modelhub.render.pipelines.cache import PartsCache
from modelhub.render.request import Recipe, Weighted

from . import models as made
from .models import Models

pytestmark = pytest.mark.filterwarnings("ignore")

CPU = Device(DeviceKind.CPU, 0, "a processor", 64 << 30, 32 << 30, threads=1)


@pytest.fixture(name="cache")
def _cache() -> PartsCache:
    return PartsCache(1 << 30)


def assembled(recipe: Recipe, cache: PartsCache, fit: Fit | None = None) -> Assembled:
    return assemble(recipe, CPU, lambda _: None, Event(), cache, size=(64, 64), fit=fit)


@pytest.fixture(name="recipe")
def _recipe(models: Models) -> Recipe:
    lora = Weighted(str(models.lora("sd1")), 2.0)
    return Recipe(model=str(models.checkpoint("sd1")), loras=(lora,))


def plain(recipe: Recipe) -> Recipe:
    return Recipe(model=recipe.model)


def test_recipes_that_share_all_parts_take_turns_with_their_loras(
    recipe: Recipe, cache: PartsCache
) -> None:
    with_lora, without = assembled(recipe, cache), assembled(plain(recipe), cache)
    assert with_lora.pipe.unet is without.pipe.unet
    apply_to(without)
    before = made.picture(without.pipe)
    assert apply_to(with_lora).changed > 0
    changed = made.picture(with_lora.pipe)
    apply_to(without)
    assert np.array_equal(made.picture(without.pipe), before)
    apply_to(with_lora)
    assert np.array_equal(made.picture(with_lora.pipe), changed)
    assert np.abs(changed - before).max() > 0.01


def test_a_precision_that_is_made_of_what_is_in_memory_is_made_of_the_checkpoint(
    recipe: Recipe, cache: PartsCache
) -> None:
    apply_to(assembled(recipe, cache))
    rounded = Recipe(model=recipe.model, precision=Precision.BF16)
    found = made.bits(assembled(rounded, cache).pipe)
    assert found == made.bits(assembled(rounded, PartsCache(1 << 30)).pipe)


def test_the_weights_of_the_lora_are_rounded_as_those_of_the_recipe(
    torch: Any, recipe: Recipe, cache: PartsCache
) -> None:
    rounded = Recipe(model=recipe.model, precision=Precision.BF16, loras=recipe.loras)
    one = assembled(rounded, cache)
    apply_to(one)
    for weight in (*one.pipe.unet.parameters(), *one.pipe.text_encoder.parameters()):
        assert torch.equal(weight, weight.bfloat16().float())


def test_a_lora_stays_in_parts_that_come_and_go(recipe: Recipe, cache: PartsCache) -> None:
    resident = assembled(recipe, PartsCache(1 << 30))
    apply_to(resident)
    expected = made.picture(resident.pipe)
    one = assembled(recipe, cache, Fit(Placement.PARTS))
    before = made.bits(one.pipe)
    made.picture(one.pipe)
    assert one.turns is not None
    one.turns.enter("unet")
    apply_to(one)
    assert np.array_equal(made.picture(one.pipe), expected)
    assert np.array_equal(made.picture(one.pipe), expected)
    apply_to(one, ())
    assert made.bits(one.pipe) == before
    one.close()


def test_it_needs_no_file_but_the_lora(recipe: Recipe, cache: PartsCache, tmp_path: Path) -> None:
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(Path(recipe.model).read_bytes())
    one = assembled(Recipe(model=str(copy), loras=recipe.loras), cache)
    copy.unlink()
    assert apply_to(one).changed > 0
