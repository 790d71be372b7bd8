"""LoRAs of the base, where the refiner has the base's second text encoder too, as published ones
do: it is in memory once, and is the base's with LoRAs and the refiner's without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from modelhub.demo.weights import adapters, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.render.request import Recipe, Weighted
from tests.render.worker.conftest import Bench

BASE_ENCODER, REFINER_ENCODER = "conditioner.embedders.1.", "conditioner.embedders.0."
TOKENS = f"{REFINER_ENCODER}model.token_embedding.weight"
UNUSED_TOKEN = 31_337

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module", name="base")
def _base(bench: Bench) -> Path:
    path = bench.folder / "base of a refiner.safetensors"
    write_safetensors(path, sdxl.checkpoint(sdxl.TINY), 21, {})
    return path


def refiner(bench: Bench, base: Path, *, shared: bool) -> str:
    """With the base's encoder; or with one that is another only where no prompt looks."""
    path = bench.folder / f"refiner that shares {shared}.safetensors"
    write_safetensors(path, sdxl.refiner(sdxl.TINY), 22, {})
    tensors: Arrays = load_file(path)
    for name, values in load_file(base).items():
        if name.startswith(BASE_ENCODER):
            tensors[REFINER_ENCODER + name.removeprefix(BASE_ENCODER)] = values
    if not shared:
        tensors[TOKENS][UNUSED_TOKEN] += 1
    save_file(tensors, path)
    return str(path)


@pytest.fixture(scope="module", name="lora")
def _lora(bench: Bench) -> str:
    """Of the second text encoder alone."""
    path = bench.folder / "of the second encoder.safetensors"
    whole = adapters.xl_lora(sdxl.TINY, 4)
    write_safetensors(path, [one for one in whole if one.name.startswith("lora_te2_")], 23, {})
    return str(path)


def test_a_lora_is_in_the_base_and_not_in_a_refiner_that_shares_its_encoder(
    bench: Bench, base: Path, lora: str
) -> None:
    shared = Recipe(model=str(base), refiner=refiner(bench, base, shared=True))
    own = Recipe(model=str(base), refiner=refiner(bench, base, shared=False))
    loras = (Weighted(lora, 2.0),)

    def png(recipe: Recipe, loras: tuple[Weighted, ...] = ()) -> bytes:
        asked = Recipe(model=recipe.model, refiner=recipe.refiner, loras=loras)
        return bench.render(asked, steps=4, sampler="Euler", refiner_from=0.5).png

    plain, changed = png(own), png(own, loras)
    assert plain != changed
    assert png(shared) == plain
    assert png(shared, loras) == changed
    assert png(shared) == plain
