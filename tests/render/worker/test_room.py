"""Which steps of the ladder are left where LoRAs are wanted, or a refiner too."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

import pytest

from modelhub.demo.weights import sd1, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.errors import CannotRender, NotEnoughMemory
from modelhub.render.answers import Loading
from modelhub.render.devices import Device, DeviceKind
from modelhub.render.memory import AS_IS, Fit, Placement, ladder
from modelhub.render.request import Recipe, Weighted
from modelhub.render.worker.room import fit_for_all, next_fit_for, with_loras
from tests.render.worker.conftest import Bench

MIB = 1 << 20
CARD = Device(DeviceKind.CUDA, 0, "a card", 8 << 30, 8 << 30)
PLAIN = Recipe(model="model.safetensors")
WITH_LORA = Recipe(model="model.safetensors", loras=(Weighted("lora.safetensors"),))


def steps_down(recipe: Recipe) -> list[Fit]:
    """All that is tried when memory runs out each time."""
    found = [with_loras(AS_IS, recipe)]
    while (less := next_fit_for(recipe, found[-1], CARD)) is not None:
        found.append(with_loras(less, recipe))
        assert len(found) <= len(ladder(CARD)), "it goes round in circles"
    return found


def test_without_loras_every_step_is_tried_once() -> None:
    assert steps_down(PLAIN) == list(ladder(CARD))


def test_with_loras_the_ladder_ends_before_blocks_come_in_turn() -> None:
    tried = steps_down(WITH_LORA)
    assert tried == list(ladder(CARD))[: len(tried)]
    assert {one.placement for one in tried} == {Placement.RESIDENT, Placement.PARTS}
    for fit in ladder(CARD):
        assert with_loras(fit, WITH_LORA).placement is not Placement.BLOCKS
        assert with_loras(fit, PLAIN) == fit


def card(free: int) -> Device:
    return Device(DeviceKind.CUDA, 0, "a card", free, free)


def least_room(recipe: Recipe, refiner: Recipe | None = None) -> int:
    """MiB of a card with which all parts stay there."""

    def suffices(mebibytes: int) -> bool:
        device = card(mebibytes * MIB)
        try:
            fit = fit_for_all(recipe, refiner, device, (64, 64), offload=None, warm=0)
        except NotEnoughMemory:
            return False
        return fit == AS_IS

    return bisect_left(range(1024), True, key=suffices)


def test_the_refiner_and_what_loras_replace_are_counted_before_anything_is_loaded(
    bench: Bench, checkpoint: str, lora: str
) -> None:
    refiner = bench.folder / "refiner to count.safetensors"
    write_safetensors(refiner, sdxl.refiner(sdxl.TINY), 3, {})
    alone = least_room(Recipe(model=checkpoint))
    with_lora = least_room(Recipe(model=checkpoint, loras=(Weighted(lora),)))
    idle = least_room(Recipe(model=checkpoint, loras=(Weighted(lora, 0.0),)))
    both = least_room(Recipe(model=checkpoint), Recipe(model=str(refiner)))
    assert alone == idle < with_lora
    size = refiner.stat().st_size // MIB
    assert abs(both - alone - size) < size / 4


def test_bytes_of_loras_are_told_while_they_are_put_in(
    bench: Bench, checkpoint: str, lora: str
) -> None:
    bench.render(Recipe(model=checkpoint))
    recipe = Recipe(model=checkpoint, loras=(Weighted(lora, 0.7),))
    first = bench.render(recipe)
    assert {one.what for one in bench.loaded} == {"LoRAs"}
    last = bench.loaded[-1]
    assert last == Loading(id=first.id, what="LoRAs", done=last.total, total=last.total)
    assert 0 < last.total < Path(checkpoint).stat().st_size
    assert first.seconds_loading > 0
    again = bench.render(recipe)
    assert bench.loaded == []
    assert again.seconds_loading == 0


@pytest.mark.parametrize("base", ["the same file", "of Stable Diffusion 1"])
def test_what_is_no_refiner_is_refused_as_one(bench: Bench, base: str) -> None:
    path = bench.folder / f"{base}.safetensors"
    one = base == "of Stable Diffusion 1"
    table = sd1.checkpoint(sd1.TINY) if one else sdxl.checkpoint(sdxl.TINY)
    write_safetensors(path, table, 5, {})
    with pytest.raises(CannotRender, match="refiner"):
        bench.render(Recipe(model=str(path), refiner=str(path)))
