"""Modules of diffusers and transformers, made without memory and filled with given tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from modelhub.errors import CannotRender
from modelhub.render.pipelines.libraries import class_in, library
from modelhub.render.pipelines.plans import WITHOUT_NORM

if TYPE_CHECKING:
    import torch

_TEXT_MODEL = "text_model."
_MOST_NAMED = 3


def filled_module(
    model_class: tuple[str, str],
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    *,
    where: str,
) -> Any:
    """A module whose parameters are these very tensors, in eval mode and without gradients.

    It is made on the meta device, so that nothing is drawn at random or held twice.

    :param model_class: library and class.
    :param tensors: by the names of diffusers, in their final type.
    :param where: part and file, for errors.
    :raises CannotRender: tensors are missing, are too many, or have other shapes.
    """
    try:
        module = empty_module(model_class, config)
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise CannotRender(
            f"{where}: no {model_class[1]} has such shapes: {str(error)[:200]}",
            hint="the file is damaged, or of another architecture: `modelhub inspect` shows it",
        ) from error
    state = module.state_dict()
    named = _with_twins(_as_this_version_names(tensors, state), state)
    _compare(named, state, where)
    module.load_state_dict(named, strict=True, assign=True)
    _fill_buffers(module)
    if _has_open(module):
        _take_computed(module, _computed_module(model_class, config))
    module.eval()
    module.requires_grad_(False)
    return module


def empty_module(model_class: tuple[str, str], config: Mapping[str, Any]) -> Any:
    """The module on the meta device."""
    import torch

    with torch.device("meta"):
        return _new(model_class, config)


def _new(model_class: tuple[str, str], config: Mapping[str, Any]) -> Any:
    of, name = model_class
    made = class_in(of, name)
    if of == "diffusers":
        return made.from_config(dict(config))
    module = made(made.config_class(**{key: config[key] for key in config if key != WITHOUT_NORM}))
    if config.get(WITHOUT_NORM):
        module.norm = library("torch").nn.Identity()
    return module


def _computed_module(model_class: tuple[str, str], config: Mapping[str, Any]) -> Any:
    """The module whose weights alone are on the meta device; what it computes itself is there."""
    import torch
    from torch.overrides import TorchFunctionMode

    waiting = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)

    class WeightsOnMeta(TorchFunctionMode):
        def __torch_function__(
            self, called: Any, types: Any, given: Any = (), named: Any = None
        ) -> Any:
            named = dict(named or {})
            if called in waiting:
                named["device"] = "meta"
            return called(*given, **named)

    with WeightsOnMeta():
        return _new(model_class, config)


def _as_this_version_names(
    tensors: Mapping[str, torch.Tensor], state: Collection[str]
) -> dict[str, torch.Tensor]:
    """Some versions of transformers have no ``text_model.`` before a text model's names."""
    if any(name.startswith(_TEXT_MODEL) for name in state):
        return dict(tensors)
    return {name.removeprefix(_TEXT_MODEL): one for name, one in tensors.items()}


_TWINS = (("shared.weight", "encoder.embed_tokens.weight"),)
"""Of T5: names of the very same numbers."""


def _with_twins(
    tensors: dict[str, torch.Tensor], state: Collection[str]
) -> dict[str, torch.Tensor]:
    """The same, and what the module has under a second name."""
    for name, twin in _TWINS:
        if name in tensors and twin in state:
            tensors.setdefault(twin, tensors[name])
    return tensors


def _compare(
    tensors: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], where: str
) -> None:
    faults = {
        "missing": [name for name in state if name not in tensors],
        "unexpected": [name for name in tensors if name not in state],
        "of the wrong shape": [
            f"{name} {list(tensors[name].shape)} for {list(one.shape)}"
            for name, one in state.items()
            if name in tensors and tensors[name].shape != one.shape
        ],
    }
    told = [f"{len(names):,} {what} ({_some(names)})" for what, names in faults.items() if names]
    if told:
        raise CannotRender(
            f"{where}: tensors are {'; '.join(told)}",
            hint="the file is incomplete, or of another architecture: `modelhub inspect` shows it",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_MOST_NAMED])
    return f"{shown}, ..." if len(names) > _MOST_NAMED else shown


def _fill_buffers(module: Any) -> None:
    """The numbers of CLIP's positions, which no file has."""
    import torch

    for name, buffer in list(module.named_buffers()):
        if not buffer.is_meta:
            continue
        owner_name, _, own = name.rpartition(".")
        if own != "position_ids":
            continue
        places = torch.arange(buffer.shape[-1], dtype=buffer.dtype).expand(buffer.shape).clone()
        module.get_submodule(owner_name).register_buffer(own, places, persistent=False)


def _has_open(module: Any) -> bool:
    return any(_is_open(one) for layer in module.modules() for one in _own_numbers(layer).values())


def _own_numbers(layer: Any) -> dict[str, Any]:
    """What a layer holds beside its weights: its buffers, and tensors that are mere attributes."""
    return {**vars(layer), **layer._buffers}


def _is_open(value: Any) -> bool:
    """Whether there are tensors in it that have no memory."""
    import torch

    if isinstance(value, list | tuple):
        return any(_is_open(one) for one in value)
    return isinstance(value, torch.Tensor) and value.is_meta


def _take_computed(module: Any, computed: Any) -> None:
    """Fill in what a module computes when it is made: the frequencies of its positions."""
    for (name, layer), other in zip(module.named_modules(), computed.modules(), strict=True):
        there = _own_numbers(other)
        for own, value in _own_numbers(layer).items():
            if not _is_open(value):
                continue
            if _is_open(there[own]):
                raise CannotRender(
                    f"{type(module).__name__} has numbers that no file has: {name}.{own}"
                )
            if own in layer._buffers:
                layer._buffers[own] = there[own]
            else:
                setattr(layer, own, there[own])
