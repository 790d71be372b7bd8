"""Room for all that a picture takes together: the model, its refiner, and what LoRAs replace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelhub.render.addons import numbers_changed
from modelhub.render.memory import Estimate, Fit, Placement, choose_fit, estimate, next_fit
from modelhub.render.pipelines.arithmetic import arithmetic_of_parts
from modelhub.render.pipelines.blueprint import blueprint_of

if TYPE_CHECKING:
    from modelhub.render.devices import Device
    from modelhub.render.request import Recipe

HOLDS_LORAS = Fit(Placement.PARTS, sliced=True)
"""The step before blocks in turn, whose hooks keep the weights as they were."""


def fit_for_all(
    recipe: Recipe,
    refiner: Recipe | None,
    device: Device,
    size: tuple[int, int],
    *,
    offload: str | None,
    warm: int,
) -> Fit:
    """The first step of the ladder in which a recipe fits with its LoRAs and its refiner.

    :param refiner: what the refiner is made of.
    :param size: of the picture, in pixels.
    :param warm: bytes of what can be dropped for it.
    :raises NotEnoughMemory: none does.
    :raises ModelhubError: a file is the obstacle, as :func:`~modelhub.render.pipelines.blueprint.
        blueprint_of` and :func:`~modelhub.render.addons.numbers_changed` tell it.
    """
    needed = _estimated(recipe, device, size)
    if refiner is not None:
        needed = needed.with_refiner(_estimated(refiner, device, size))
    room = replace(device, free=device.free + warm)
    return choose_fit(needed, room, offload)


def with_loras(fit: Fit, recipe: Recipe) -> Fit:
    """A step of the ladder in which LoRAs can be put into the model."""
    blocks = fit.placement is Placement.BLOCKS
    return HOLDS_LORAS if blocks and recipe.loras else fit


def next_fit_for(recipe: Recipe, fit: Fit, device: Device) -> Fit | None:
    """The step after one that ran out of memory; None where there is none for this recipe."""
    less = next_fit(fit, device)
    while less is not None and with_loras(less, recipe) != less:
        less = next_fit(less, device)
    return less


def _estimated(recipe: Recipe, device: Device, size: tuple[int, int]) -> Estimate:
    with blueprint_of(recipe) as blueprint:
        kinds = {one.folder: one.dtypes for one in blueprint.parts}
        arithmetic = arithmetic_of_parts(kinds, recipe, device)
        parts = {one.folder: (one, arithmetic[one.folder].bytes_each) for one in blueprint.parts}
        needed = estimate(parts, width=size[0], height=size[1])
    replaced = 0
    for name, numbers in numbers_changed(recipe.loras).items():
        part = "transformer" if name == "unet" and name not in parts else name
        if part in parts:
            sized, each = parts[part]
            replaced += min(numbers, sized.parameters) * each
    return needed.with_loras(replaced)
