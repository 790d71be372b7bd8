"""What a render needs, and which step of the ladder makes it fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from modelhub.errors import NotEnoughMemory, UsageError
from modelhub.render.devices import Device, DeviceKind
from modelhub.render.memory import (
    AS_IS,
    Estimate,
    Fit,
    Placement,
    choose_fit,
    estimate,
    ladder,
    next_fit,
)

_GIB = 1 << 30


@dataclass(frozen=True)
class Sized:
    folder: str
    parameters: int
    config: dict[str, Any] = field(default_factory=dict)


def _sdxl(width: int, height: int, each: int = 2) -> Estimate:
    parts = {
        "unet": Sized("unet", 2_567_000_000, {"block_out_channels": [320, 640, 1280]}),
        "vae": Sized("vae", 83_700_000, {"block_out_channels": [128, 256, 512, 512]}),
        "text_encoder": Sized("text_encoder", 123_000_000),
        "text_encoder_2": Sized("text_encoder_2", 695_000_000),
    }
    return estimate({name: (one, each) for name, one in parts.items()}, width=width, height=height)


def _card(gib: float) -> Device:
    return Device(DeviceKind.CUDA, 0, "a card", int(gib * _GIB), int(gib * _GIB))


def _host(gib: float) -> Device:
    return Device(DeviceKind.CPU, 0, "a processor", int(gib * _GIB), int(gib * _GIB), threads=2)


def test_weights_are_counted_in_the_type_that_they_are_computed_in() -> None:
    half, single = _sdxl(1024, 1024, 2), _sdxl(1024, 1024, 4)
    assert sum(half.weights.values()) == 2 * 3_468_700_000
    assert sum(single.weights.values()) == 2 * sum(half.weights.values())


def test_a_larger_picture_needs_more() -> None:
    small, large = _sdxl(512, 512), _sdxl(1024, 1024)
    assert large.denoising == 4 * small.denoising
    assert large.decoding == 4 * small.decoding
    assert large.tiled < large.decoding


def test_each_step_of_the_ladder_needs_less_than_the_one_before() -> None:
    estimated = _sdxl(1024, 1024)
    for device in (_card(24), _host(64)):
        needed = [estimated.needed(one, device) for one in ladder(device)]
        assert needed == sorted(needed, reverse=True)
        assert len(set(needed)) >= 3


@pytest.mark.parametrize(
    ("gib", "placement", "sliced"),
    [
        (24, Placement.RESIDENT, False),
        (9, Placement.RESIDENT, True),
        (7, Placement.PARTS, True),
        (3, Placement.BLOCKS, True),
    ],
)
def test_a_smaller_card_takes_a_later_step(gib: float, placement: Placement, sliced: bool) -> None:
    chosen = choose_fit(_sdxl(1024, 1024), _card(gib))
    assert (chosen.placement, chosen.sliced) == (placement, sliced)


def test_a_processor_has_nowhere_to_move_weights_to() -> None:
    assert all(one.placement is Placement.RESIDENT for one in ladder(_host(8)))


def test_what_fits_nowhere_is_refused_with_the_figures() -> None:
    with pytest.raises(NotEnoughMemory, match=r"1\.00 GiB free.*GiB of weights"):
        choose_fit(_sdxl(1024, 1024, 4), _host(1))


@pytest.mark.parametrize(
    ("word", "placement"),
    [
        ("none", Placement.RESIDENT),
        ("model", Placement.PARTS),
        ("sequential", Placement.BLOCKS),
    ],
)
def test_an_offload_that_was_asked_for_is_taken(word: str, placement: Placement) -> None:
    assert choose_fit(_sdxl(1024, 1024), _card(80), word).placement is placement
    assert choose_fit(_sdxl(1024, 1024), _card(1), word).placement is placement


def test_an_unknown_offload_is_refused() -> None:
    with pytest.raises(UsageError, match="sideways"):
        choose_fit(_sdxl(512, 512), _card(8), "sideways")


def test_running_out_of_memory_goes_down_one_step_until_there_is_none() -> None:
    card = _card(8)
    taken: list[Fit] = []
    fit: Fit | None = AS_IS
    while fit is not None:
        taken.append(fit)
        fit = next_fit(fit, card)
    assert tuple(taken) == ladder(card)


def test_a_fit_is_told_in_one_line() -> None:
    assert AS_IS.words == ""
    said = Fit(Placement.BLOCKS, sliced=True, eight_bit=True).words
    assert said == (
        "sequential offload (blocks in turn), weights of the UNet stored in fp8 (the picture "
        "differs), attention slicing and VAE tiling"
    )


def test_a_refiner_is_beside_the_base_and_no_more_than_one_of_them_computes() -> None:
    base, card = _sdxl(1024, 1024), _card(80)
    refiner = estimate(
        {"unet": (Sized("unet", 2_300_000_000, {"block_out_channels": [320, 640]}), 2)},
        width=1024,
        height=1024,
    )
    both = base.with_refiner(refiner)
    assert both.needed(AS_IS, card) > base.needed(AS_IS, card) + 2 * 2_300_000_000 - 1
    in_turn = Fit(Placement.PARTS, sliced=True)
    assert both.needed(in_turn, card) == max(
        base.needed(in_turn, card), refiner.needed(in_turn, card)
    )
    assert choose_fit(base, _card(12)).placement is Placement.RESIDENT
    assert choose_fit(both, _card(12)).placement is Placement.PARTS
    in_bytes = Fit(sliced=True, eight_bit=True)
    assert both.needed(AS_IS, card) - both.needed(in_bytes, card) > 2_567_000_000 + 2_300_000_000


def test_weights_that_loras_replace_stay_where_all_parts_stay() -> None:
    plain, card = _sdxl(1024, 1024), _card(80)
    changed = plain.with_loras(3 * _GIB)
    assert changed.needed(AS_IS, card) == plain.needed(AS_IS, card) + 3 * _GIB
    in_turn = Fit(Placement.PARTS, sliced=True)
    assert changed.needed(in_turn, card) == plain.needed(in_turn, card)
