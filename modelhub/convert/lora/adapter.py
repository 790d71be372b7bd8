"""A LoRA as the layers that it changes, whatever program named its tensors.

The names are split by :mod:`modelhub.formats.identify.adapters.naming`, which knows those of
kohya's school, of diffusers (all three of its forms) and of PEFT; here the tensors that make one
layer are put together, and their shapes and scales are checked before anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite, prod
from typing import TYPE_CHECKING

from modelhub.convert.computed import numbers_of
from modelhub.convert.lora.settings import PeftSettings
from modelhub.errors import ConversionRefused, FormatError
from modelhub.formats.identify.adapters.naming import part_of, split

if TYPE_CHECKING:
    from modelhub.convert.readers import Source
    from modelhub.convert.values import Values

_ROLES = {
    **dict.fromkeys(("lora_down", "lora_A", "lora.down"), "down"),
    **dict.fromkeys(("lora_up", "lora_B", "lora.up"), "up"),
    "lora_mid": "mid",
    **dict.fromkeys(("dora_scale", "lora_magnitude_vector"), "magnitude"),
}
"""What the weights of a layer are for, by the endings of their names; others are their own."""
_LEGACY_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}

_MOST_NUMBERS = 1 << 28
"""In a factor with its core multiplied in: the largest layer of a model there is has fewer."""


class LayerKind(StrEnum):
    """How a layer's difference is written down."""

    LORA = "LoRA"
    LOHA = "LoHa"
    LOKR = "LoKr"
    WHOLE = "whole difference"
    NORM = "difference of a norm"
    OTHER = "other"


_KINDS = (
    (LayerKind.LORA, ("down", "up")),
    (LayerKind.LOHA, ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")),
    (LayerKind.LOKR, ("lokr_w1",)),
    (LayerKind.LOKR, ("lokr_w1_a", "lokr_w1_b")),
    (LayerKind.WHOLE, ("diff",)),
    (LayerKind.WHOLE, ("diff_b",)),
    (LayerKind.NORM, ("w_norm",)),
    (LayerKind.NORM, ("b_norm",)),
)


@dataclass(slots=True)
class Layer:
    """The tensors that change one module.

    :param part: ``unet`` (or a transformer), ``te1``, ``te2``, ``te3``.
    :param path: of the module, with underscores for dots, as the file spells it.
    :param stem: what the names of its tensors begin with.
    :param names: of its tensors, by what they are for: ``down``, ``up``, ``mid``, ``alpha``,
        ``magnitude``, or as LyCORIS calls them.
    :param scale: what its product is multiplied by: alpha through rank.
    """

    part: str
    path: str
    stem: str
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    scale: float = 1.0

    @property
    def key(self) -> tuple[str, str]:
        """Part and path: what modules of a model are looked up by."""
        return self.part, self.path

    @property
    def kind(self) -> LayerKind:
        """How its difference is written down."""
        for kind, needed in _KINDS:
            if all(role in self.names for role in needed):
                return kind
        return LayerKind.OTHER

    @property
    def rank(self) -> int | None:
        """The inner dimension of its product; None of what is none."""
        for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
            if role in self.values and self.values[role].shape:
                return self.values[role].shape[0]
        return None

    def shape(self, role: str) -> tuple[int, ...]:
        """Of one of its tensors."""
        return self.values[role].shape


@dataclass(frozen=True, slots=True)
class Adapter:
    """All layers of a file.

    :param layers: by part and path, in the order of the file.
    :param beside: names of tensors that belong to no layer.
    :param silent: how many layers have an alpha of 0, so that they change nothing.
    """

    source: Source
    layers: Mapping[tuple[str, str], Layer]
    beside: tuple[str, ...]
    silent: int

    @property
    def metadata(self) -> Mapping[str, str]:
        """Of the file."""
        return self.source.header.metadata


def read_adapter(source: Source) -> Adapter:
    """The layers of a LoRA or LyCORIS file. Of the values, only the alphas are read.

    :raises ConversionRefused: it is no such file.
    :raises FormatError: a half of a layer is missing, shapes do not multiply, an alpha is no
        number.
    :raises FileUnreadable: the alphas cannot be read.
    """
    layers, beside = _gathered(source)
    if not layers:
        raise ConversionRefused(
            f"{source.path} is no LoRA: it has no tensors of one",
            hint="`modelhub inspect FILE` tells what it is",
        )
    try:
        settings = PeftSettings.of(source.path, source.header.metadata)
    except FormatError as error:
        raise error.of(source.path) from error
    silent = 0
    for layer in layers.values():
        try:
            _check(layer)
            layer.scale = _scale(layer, settings)
        except FormatError as error:
            raise FormatError(
                f"the layer {layer.stem[:200]}: {error.reason}", path=source.path, hint=error.hint
            ) from error
        silent += layer.scale == 0
    return Adapter(source, layers, tuple(beside), silent)


def _gathered(source: Source) -> tuple[dict[tuple[str, str], Layer], list[str]]:
    layers: dict[tuple[str, str], Layer] = {}
    beside = []
    for name, values in source.tensors.items():
        parts = split(name)
        if parts is None:
            beside.append(name)
            continue
        stem, ending = parts
        role = _ROLES.get(ending, ending)
        if name.endswith(".bias") or ending.startswith(":"):
            role = ending
        part, path = _module_of(stem)
        layer = layers.setdefault((part, path), Layer(part, path, stem))
        if role in layer.names:
            raise FormatError(
                f"{name[:200]} is there twice, under the names of two programs", path=source.path
            )
        layer.names[role] = name
        layer.values[role] = values
    if not any(layer.kind is not LayerKind.OTHER for layer in layers.values()):
        known = {role for layer in layers.values() for role in layer.names} - {"alpha"}
        if not known:
            layers = {}
    return layers, beside


def _module_of(stem: str) -> tuple[str, str]:
    """The part and the path that a stem means, in one spelling for all forms of diffusers."""
    found = part_of(stem)
    part, path = found.part, found.path
    if part == "unet" and path.startswith("text_model_"):
        part = "te1"
    path = path.replace("_processor_", "_")
    legacy = path.endswith("_lora")
    path = path.removesuffix("_lora_linear_layer").removesuffix("_lora")
    head, joint, last = path.rpartition("_to_")
    if legacy and joint and f"to_{last}" in _LEGACY_TEXT:
        if part.startswith("te"):
            return part, f"{head}_{_LEGACY_TEXT[f'to_{last}']}"
        if last == "out":
            return part, f"{path}_0"
    return part, path


def _check(layer: Layer) -> None:
    """Refuse a layer whose tensors do not go together.

    :raises FormatError: as it says.
    """
    if ("down" in layer.names) != ("up" in layer.names):
        there = "down" if "down" in layer.names else "up"
        raise FormatError(f"of its two factors only {layer.names[there][-80:]} is there")
    if layer.kind is LayerKind.OTHER or layer.kind in (LayerKind.WHOLE, LayerKind.NORM):
        return
    difference_shape(layer)


def difference_shape(layer: Layer) -> tuple[int, int]:
    """How many rows and columns the difference has that a layer makes.

    :raises FormatError: its factors do not multiply.
    """
    if layer.kind is LayerKind.LORA:
        return _lora_shape(layer)
    if layer.kind is LayerKind.LOHA:
        first = _product(layer, "hada_w1_a", "hada_w1_b", "hada_t1")
        if first != _product(layer, "hada_w2_a", "hada_w2_b", "hada_t2"):
            raise FormatError("its two products are of different shapes")
        return first
    first = _kronecker_factor(layer, "1")
    second = _kronecker_factor(layer, "2")
    return first[0] * second[0], first[1] * second[1]


def _lora_shape(layer: Layer) -> tuple[int, int]:
    up, down = layer.shape("up"), layer.shape("down")
    if min(len(up), len(down)) < 2 or prod(up[2:]) != 1:
        raise FormatError(f"factors of {down} and {up} are none of a product")
    inner, columns = down[0], prod(down[1:])
    if "mid" in layer.names:
        mid = layer.shape("mid")
        if len(mid) != len(down) or mid[1] != down[0] or prod(down[2:]) != 1:
            raise FormatError(f"a core of {mid} does not go between {down} and {up}")
        inner, columns = mid[0], down[1] * prod(mid[2:])
        if inner * columns > _MOST_NUMBERS:
            raise FormatError(f"a core of {mid} makes a factor of {inner * columns:,} numbers")
    if inner != up[1] or not inner:
        raise FormatError(f"factors of {down} and {up} do not multiply")
    return up[0], columns


def _product(layer: Layer, left: str, right: str, core: str) -> tuple[int, int]:
    a, b = layer.shape(left), layer.shape(right)
    if len(a) != 2 or len(b) != 2:
        raise FormatError(f"factors of {a} and {b} are none of a product")
    if core not in layer.names:
        if a[1] != b[0]:
            raise FormatError(f"factors of {a} and {b} do not multiply")
        return a[0], b[1]
    middle = layer.shape(core)
    if len(middle) < 2 or middle[0] != a[0] or middle[1] != b[0]:
        raise FormatError(f"a core of {middle} does not go between {a} and {b}")
    return a[1], b[1] * prod(middle[2:])


def _kronecker_factor(layer: Layer, number: str) -> tuple[int, int]:
    whole = f"lokr_w{number}"
    if whole in layer.names:
        shape = layer.shape(whole)
        if len(shape) < 2:
            raise FormatError(f"a Kronecker factor of {shape}")
        return shape[0], prod(shape[1:])
    left, right, core = f"{whole}_a", f"{whole}_b", f"lokr_t{number}"
    if left not in layer.names or right not in layer.names:
        raise FormatError(f"the Kronecker factor {whole} is not there")
    return _product(layer, left, right, core)


def _scale(layer: Layer, settings: PeftSettings) -> float:
    """What the product of a layer is multiplied by.

    A missing alpha is that of the rank, as everywhere; Kronecker products of two whole factors
    have no rank, and no scale (LyCORIS ``modules/lokr.py``).
    """
    rank = layer.rank
    if rank is None or layer.kind is LayerKind.OTHER:
        return 1.0
    if "alpha" not in layer.names:
        return settings.scale(layer.part, layer.path, rank)
    values = layer.values["alpha"]
    if prod(values.shape) != 1:
        raise FormatError(f"its alpha is {values.shape}, not one number")
    alpha = float(numbers_of(values).reshape(-1)[0])
    if not isfinite(alpha):
        raise FormatError(f"its alpha is {alpha}")
    return alpha / rank
