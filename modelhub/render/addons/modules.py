"""The weights of a pipeline's modules, under the names that a LoRA can call them by.

Trainers name the modules of a UNet as diffusers or as the original code does. A UNet's weights are
given the original names here, from which :mod:`modelhub.convert.lora.targets` knows both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.convert.lora.names import original_unet
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned, Values

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from modelhub.render.addons.originals import Originals

FOLDERS = ("unet", "transformer", "text_encoder", "text_encoder_2")
"""Components of a pipeline that LoRAs change, by their names in diffusers."""
_WITH_ATTENTION = re.compile(r"up_blocks\.(\d{1,2})\.attentions\.")


class ParameterValues(Values):
    """The numbers of one parameter, in fp32, as they were before any LoRA.

    :param parameter: its name within the module of `originals`; on any device, of any type.
    """

    __slots__ = ("_originals", "_parameter")

    def __init__(self, parameter: str, originals: Originals) -> None:
        self._parameter = parameter
        self._originals = originals
        self.dtype = "F32"
        self.shape = tuple(originals.module.get_parameter(parameter).shape)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All of them, little-endian, in the order of their indices, in one piece."""
        import torch

        tensor = self._originals.tensor(self._parameter)
        numbers = tensor.to("cpu", torch.float32).contiguous()
        if numbers.numel():
            yield numbers.numpy().reshape(-1).data.cast("B")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the values of a planned tensor belong: a parameter of a module."""

    folder: str
    parameter: str


@dataclass(frozen=True, slots=True)
class Weights:
    """All parameters of a pipeline that LoRAs could change.

    :param slots: by the name in `plan`.
    """

    plan: Plan
    slots: Mapping[str, Slot]


def modules_of(pipe: Any) -> dict[str, Module]:
    """The components of a diffusers pipeline that LoRAs change, by name; those it has."""
    from torch.nn import Module

    found = {name: getattr(pipe, name, None) for name in FOLDERS}
    return {name: one for name, one in found.items() if isinstance(one, Module)}


def weights_of(originals: Mapping[str, Originals]) -> Weights:
    """The weights of a pipeline as a plan that LoRAs can be merged into.

    :param originals: of its modules, by component.
    """
    tensors, slots = [], {}
    for folder, one in originals.items():
        names = dict(one.module.named_parameters())
        levels = _levels_with_attention(names) if folder == "unet" else frozenset[int]()
        for parameter, tensor in names.items():
            if not tensor.is_floating_point():
                continue
            name = _name(folder, parameter, levels)
            tensors.append(Planned(name, ParameterValues(parameter, one), "F32"))
            slots[name] = Slot(folder, parameter)
    return Weights(Plan(tensors=tuple(tensors)), slots)


def _levels_with_attention(names: Mapping[str, Tensor]) -> frozenset[int]:
    return frozenset(int(found[1]) for name in names if (found := _WITH_ATTENTION.match(name)))


def _name(folder: str, parameter: str, levels: frozenset[int]) -> str:
    if folder == "unet":
        path, _, kind = parameter.rpartition(".")
        original = original_unet(path, levels)
        if original is not None:
            return f"model.diffusion_model.{original}.{kind}"
    return f"{folder}/{parameter}"
