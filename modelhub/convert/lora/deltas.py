"""The difference that a layer of a LoRA or LyCORIS makes to the weight of its module.

The formulas are those that programs apply: KohakuBlueleaf/LyCORIS ``lycoris/functional`` and
``modules/locon.py``; comfyanonymous/ComfyUI ``comfy/weight_adapter`` (``lora.py``, ``loha.py``,
``lokr.py``, ``base.py``: ``weight_decompose``); huggingface/peft ``tuners/lora/dora.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelhub.convert.computed import numbers_of
from modelhub.convert.lora.adapter import Layer, LayerKind
from modelhub.convert.lora.lowrank import with_core
from modelhub.errors import FormatError

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers

_ROWS = 1024
"""Of a weight, that are changed at a time."""


class Taken(NamedTuple):
    """Rows of a layer's difference, where the layer is of several modules as one.

    :param start: the first; `stop` the one behind the last.
    :param of: how many the whole difference has.
    """

    start: int
    stop: int
    of: int


def change(weight: Numbers, layer: Layer, strength: float, taken: Taken | None = None) -> None:
    """Apply a layer to the weight of its module, in place.

    With magnitudes of its own (DoRA), the sum of weight and difference is brought to these, and
    `strength` goes from the weight to the result of that; else the difference is added
    `strength` times.

    :param weight: fp32, in the module's shape; may be a view.
    :param taken: the rows of the difference that are the module's; None: all.
    :raises FormatError: the layer has values that are no numbers, or its file is damaged.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if layer.kind is LayerKind.LORA and "magnitude" not in layer.names:
            _add_product(weight, layer, strength, taken)
            return
        difference = _taken_of(_difference(layer, _whole(weight.shape, taken)), taken)
        if not np.isfinite(np.sum(difference)) and not np.isfinite(difference).all():
            raise _not_numbers(layer)
        if "magnitude" not in layer.names:
            difference *= layer.scale * strength
            weight += difference
            return
        difference *= layer.scale
        difference += weight
        decomposed = _with_magnitudes(difference, layer, taken)
        decomposed -= weight
        decomposed *= strength
        weight += decomposed


def _whole(shape: tuple[int, ...], taken: Taken | None) -> tuple[int, ...]:
    return shape if taken is None else (taken.of, *shape[1:])


def _taken_of(numbers: Numbers, taken: Taken | None) -> Numbers:
    return numbers if taken is None else numbers[taken.start : taken.stop]


def _add_product(weight: Numbers, layer: Layer, strength: float, taken: Taken | None) -> None:
    """Add the product of two factors, some rows at a time: it is never there as a whole."""
    up, down = product_of(layer)
    up = _taken_of(up, taken)
    up *= layer.scale * strength
    flat = weight if weight.ndim == 2 else weight.reshape(weight.shape[0], -1)
    for start in range(0, len(flat), _ROWS):
        flat[start : start + _ROWS] += up[start : start + _ROWS] @ down


def product_of(layer: Layer) -> tuple[Numbers, Numbers]:
    """The two factors of a LoRA in two dimensions: outputs by rank, rank by inputs (and kernel).

    :raises FormatError: they have values that are no numbers, or the file is damaged.
    """
    import numpy as np

    up, down = numbers_of(layer.values["up"]), first_factor(layer)
    if not (np.isfinite(up).all() and np.isfinite(down).all()):
        raise _not_numbers(layer)
    return up.reshape(up.shape[0], -1), down.reshape(down.shape[0], -1)


def first_factor(layer: Layer) -> Numbers:
    """What is applied first: rank by inputs (by kernel), a Tucker core multiplied in."""
    down = numbers_of(layer.values["down"])
    return with_core(numbers_of(layer.values["mid"]), down) if "mid" in layer.names else down


def _not_numbers(layer: Layer) -> FormatError:
    return FormatError(f"the layer {layer.stem[:200]} has values that are no numbers")


def change_vector(
    vector: Numbers, layer: Layer, role: str, strength: float, taken: Taken | None = None
) -> None:
    """Add a layer's difference to a bias or to the scale of a norm, in place.

    :param role: which of its tensors.
    :param taken: the numbers of it that are the vector's; None: all.
    :raises FormatError: it has another length, or values that are no numbers.
    """
    import numpy as np

    difference = _taken_of(numbers_of(layer.values[role]).reshape(-1), taken)
    if difference.size != vector.size or not np.isfinite(difference).all():
        raise FormatError(f"{layer.names[role][:200]} does not go with a vector of {vector.size}")
    vector += strength * difference.reshape(vector.shape)


def _difference(layer: Layer, shape: tuple[int, ...]) -> Numbers:
    """In the shape of the weight, not yet scaled."""
    made: Numbers
    if layer.kind is LayerKind.LORA:
        up, down = product_of(layer)
        made = up @ down
    elif layer.kind is LayerKind.LOHA:
        made = _product(layer, "hada_w1", "hada_t1") * _product(layer, "hada_w2", "hada_t2")
    elif layer.kind is LayerKind.LOKR:
        made = _kronecker(_factor(layer, "1"), _factor(layer, "2"))
    else:
        made = numbers_of(layer.values["diff"])
    return made.reshape(shape)


def _product(layer: Layer, factors: str, core: str) -> Numbers:
    import numpy as np

    left = numbers_of(layer.values[f"{factors}_a"])
    right = numbers_of(layer.values[f"{factors}_b"])
    if core not in layer.names:
        return left @ right
    middle = numbers_of(layer.values[core])
    made: Numbers = np.einsum("ij...,jr,ip->pr...", middle, right, left)
    return made


def _factor(layer: Layer, number: str) -> Numbers:
    whole = f"lokr_w{number}"
    if whole in layer.names:
        return numbers_of(layer.values[whole])
    return _product(layer, whole, f"lokr_t{number}")


def _kronecker(first: Numbers, second: Numbers) -> Numbers:
    import numpy as np

    if second.ndim > 2:
        first = first.reshape(*first.shape[:2], *(1,) * (second.ndim - 2))
    made: Numbers = np.kron(first, second)
    return made


def _with_magnitudes(weight: Numbers, layer: Layer, taken: Taken | None) -> Numbers:
    """Each output (or, of older files, each input) of `weight` brought to its magnitude."""
    import numpy as np

    magnitudes = numbers_of(layer.values["magnitude"])
    rows, columns = _whole(weight.shape, taken)[:2]
    # PEFT has one for each output; LyCORIS, a column of them, or in older files a row by input.
    by_output = "magnitude_vector" in layer.names["magnitude"] or magnitudes.shape[:1] == (rows,)
    # Those by input are of the weight as a whole, of which only some rows are here.
    if magnitudes.size != (rows if by_output else columns) or (taken and not by_output):
        raise FormatError(
            f"{layer.names['magnitude'][:200]}: {magnitudes.size} magnitudes for a weight of "
            f"{weight.shape}"
        )
    if by_output:
        magnitudes = _taken_of(magnitudes.reshape(-1), taken)
    axis = 0 if by_output else 1
    others = tuple(one for one in range(weight.ndim) if one != axis)
    norms = np.sqrt(np.sum(np.square(weight), axis=others, keepdims=True))
    norms += np.finfo(np.float32).eps
    scaled: Numbers = weight * (magnitudes.reshape(norms.shape) / norms)
    return scaled
