"""In which type a part is computed, and through which its weights are rounded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelhub.convert.options import Precision
from modelhub.formats.gguf_types import BLOCKS
from modelhub.render.devices import Device
from modelhub.render.request import Recipe

_EXACT_IN: dict[str, frozenset[Precision]] = {
    "F32": frozenset({Precision.FP32}),
    "F16": frozenset({Precision.FP32, Precision.FP16}),
    "BF16": frozenset({Precision.FP32, Precision.BF16}),
    "F8_E4M3": frozenset(Precision),
    "F8_E5M2": frozenset(Precision),
}
"""By the type of a file, the types that hold all its numbers."""
SCALED = " scaled"
"""Behind the name of a type whose numbers have a factor beside them."""
_WHOLE_NUMBERS = frozenset({"I64", "I32", "I16", "I8", "U8", "BOOL"})
_BYTES = {Precision.FP32: 4, Precision.FP16: 2, Precision.BF16: 2}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How one part is computed.

    :param rounding: what its stored numbers go through; None: they stay what they are.
    :param computed: the type of the module.
    :param weights: the label of the weights: what they were rounded to, or are stored in.
    :param exact: the module holds the very numbers of the file.
    """

    rounding: Precision | None
    computed: Precision
    weights: str
    exact: bool

    @property
    def bytes_each(self) -> int:
        """Of one number in the module."""
        return _BYTES[self.computed]

    @property
    def words(self) -> str:
        """For a label: ``fp16 weights, fp32 arithmetic``, or one word where both agree."""
        if self.weights == self.computed.value:
            return self.weights
        return f"{self.weights} weights, {self.computed.value} arithmetic"


def arithmetic_of_parts(
    dtypes: Mapping[str, Collection[str]], recipe: Recipe, device: Device
) -> dict[str, Arithmetic]:
    """How all parts of a recipe are computed, by their names.

    A transformer gets what its text encoders give, and a second one what the first has made, as it
    comes: all are computed in its type.

    :param dtypes: of each part's tensors as they are stored.
    """
    if "transformer" not in dtypes:
        return {name: arithmetic_of(name, one, recipe, device) for name, one in dtypes.items()}
    half = Precision.BF16 if Precision.BF16 in device.native else Precision.FP16
    main = arithmetic_of("transformer", dtypes["transformer"], recipe, device, half=half)
    return {
        name: arithmetic_of(
            name,
            one,
            recipe,
            device,
            half=half,
            computed=main.computed if name.startswith(("text_encoder", "transformer_")) else None,
        )
        for name, one in dtypes.items()
    }


def arithmetic_of(
    folder: str,
    dtypes: Collection[str],
    recipe: Recipe,
    device: Device,
    *,
    half: Precision = Precision.FP16,
    computed: Precision | None = None,
) -> Arithmetic:
    """How a part of a recipe is computed on a device.

    A CPU computes in fp32: few are fast in less, and none gives the same as a GPU. What a
    precision costs then shows in the weights, which are rounded to it. Other devices compute in
    the precision that was asked for, or else in that of the file.

    :param dtypes: of the part's tensors as they are stored, that of the most numbers first.
    :param half: of a device that has it, what is computed in where the stored type is none to
        compute in.
    :param computed: the type, where another part decides on it.
    """
    wanted = recipe.precision
    if folder == "vae" and recipe.vae_precision is not None:
        wanted = recipe.vae_precision
    floats = [one for one in dtypes if one not in _WHOLE_NUMBERS]
    stored = _stored(floats)
    if device.is_cpu:
        computed = Precision.FP32
    elif computed is None:
        computed = wanted or _computed_as_stored(stored, device, half)
    label = wanted.value if wanted is not None else stored
    rounding = wanted
    if rounding is not None and all(rounding in _exact_in(one) for one in floats):
        rounding = None
    exact = rounding is None and all(computed in _exact_in(one) for one in floats)
    return Arithmetic(rounding, computed, label, exact)


_LABELS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F64": "fp64"}


def _exact_in(stored: str) -> Collection[Precision]:
    # What blocks and factors stand for is reckoned in fp32, and has more digits than a half.
    if stored in BLOCKS or stored.endswith(SCALED):
        return (Precision.FP32,)
    return _EXACT_IN.get(stored, ())


def _stored(floats: Collection[str]) -> str:
    """The label of weights that are stored in these types, that of the most numbers first.

    Quantised models have some layers in other types, and are called by the one of most layers.
    """
    for one in floats:
        if one in BLOCKS:
            return one
        if one.startswith("F8") and one.endswith(SCALED):
            return "fp8"
    floats = {one.removesuffix(SCALED) for one in floats}
    labels = {_LABELS.get(one, "fp8" if one.startswith("F8") else one.lower()) for one in floats}
    return labels.pop() if len(labels) == 1 else "mixed"


def _computed_as_stored(stored: str, device: Device, half: Precision) -> Precision:
    """Of a file in which no device computes, the half that this one is fast in."""
    if stored in ("fp32", "fp64"):
        return Precision.FP32
    if stored == "bf16" and Precision.BF16 in device.native:
        return Precision.BF16
    if stored != "fp16" and half in device.native:
        return half
    return Precision.FP16 if Precision.FP16 in device.native else Precision.FP32
