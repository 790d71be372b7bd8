"""How much of a model LoRAs change: known from their headers, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from modelhub.convert.lora.adapter import Layer, LayerKind, difference_shape, read_adapter
from modelhub.render.addons.loras import opened_lora
from modelhub.render.request import Weighted

_TEXT_ENCODERS = {"te1": "text_encoder", "te2": "text_encoder_2", "te3": "text_encoder_3"}
_PRODUCTS = (LayerKind.LORA, LayerKind.LOHA, LayerKind.LOKR)


def numbers_changed(loras: Sequence[Weighted]) -> Mapping[str, int]:
    """How many numbers of each part have another value with these LoRAs; those of weight 0 count
    for nothing.

    :return: by the names of a pipeline's components; a transformer is called ``unet`` too.
    :raises CannotRender: one is no LoRA.
    :raises FormatError: one is damaged.
    :raises FileUnreadable: one cannot be read.
    """
    largest: dict[tuple[str, str], int] = {}
    for one in loras:
        if one.weight == 0:
            continue
        with opened_lora(Path(one.path)) as source:
            for key, layer in read_adapter(source).layers.items():
                largest[key] = max(largest.get(key, 0), _numbers(layer))
    found: dict[str, int] = {}
    for (part, _), numbers in largest.items():
        name = _TEXT_ENCODERS.get(part, part)
        found[name] = found.get(name, 0) + numbers
    return found


def _numbers(layer: Layer) -> int:
    if layer.kind in _PRODUCTS:
        rows, columns = difference_shape(layer)
        return rows * columns
    whole = [values for role, values in layer.values.items() if role != "alpha"]
    return sum(prod(one.shape) for one in whole)
