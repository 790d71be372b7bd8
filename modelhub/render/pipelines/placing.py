"""Modules put where a fit has them: on the device, there in turn, or layer by layer.

Diffusers' own ways to do so need another library; this needs torch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from modelhub.render.memory import Fit, Placement
from modelhub.render.pipelines.arithmetic import Arithmetic
from modelhub.render.pipelines.libraries import library
from modelhub.render.pipelines.plans import DENOISERS
from modelhub.render.pipelines.reading import torch_type

if TYPE_CHECKING:
    import torch

_OWN_METHODS = ("encode", "decode")
"""Of a VAE: what pipelines call instead of ``forward``."""


def place_module(folder: str, module: Any, fit: Fit, device: str, arithmetic: Arithmetic) -> None:
    """Prepare one module that is in the host's memory; once in its life.

    :param device: that it is computed on, as torch names it.
    """
    if fit.eight_bit and folder in DENOISERS:
        module.enable_layerwise_casting(
            storage_dtype=library("torch").float8_e4m3fn,
            compute_dtype=torch_type(arithmetic.computed.value),
        )
    if fit.placement is Placement.BLOCKS and device != "cpu":
        LayerByLayer(module, device)


class _Bringing:
    """Tensors of modules on a device for a while, the host's memory of them kept meanwhile.

    :param device: as torch names it.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def moved(self, values: Any) -> Any:
        """The same with all tensors on the device."""
        if isinstance(values, dict):
            return {key: self.moved(one) for key, one in values.items()}
        if isinstance(values, tuple | list):
            return type(values)(self.moved(one) for one in values)
        return values.to(self._device) if isinstance(values, library("torch").Tensor) else values

    def brought(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor on the device."""
        return tensor.to(self._device)

    def bring(self, tensors: Iterable[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Put tensors onto the device; gives each with what it was before."""
        before = []
        for tensor in tensors:
            before.append((tensor, tensor.data))
            tensor.data = self.brought(tensor.data)
        return before


class LayerByLayer(_Bringing):
    """Each layer of a module is on the device while it computes, and at no other time.

    :param module: whose layers wait in the host's memory; from now on, for good.
    :param device: as torch names it.
    """

    def __init__(self, module: Any, device: str) -> None:
        super().__init__(device)
        for layer in module.modules():
            own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
            if own or layer is module:
                self._watch(layer)

    def _watch(self, layer: Any) -> None:
        waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

        def come(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            own = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
            waiting.extend(self.bring(own))
            return self.moved(given), self.moved(named)

        def go(*_: Any) -> None:
            for tensor, host in waiting:
                tensor.data = host
            waiting.clear()

        layer.register_forward_pre_hook(come, with_kwargs=True)
        # Also after an error: the layer would not come again.
        layer.register_forward_hook(go, always_call=True)


class TakingTurns(_Bringing):
    """Modules of which one at a time is on the device; the others wait in the host's memory.

    A module comes when it is called, and leaves when another is. Its tensors in the host's memory
    stay there meanwhile, so that leaving costs nothing; they must not be changed on the device.

    One module is there for all pipelines of a device together: a base's and its refiner's, too.

    :param modules: by their names.
    :param device: as torch names it.
    """

    _holders: ClassVar[dict[str, TakingTurns]] = {}

    def __init__(self, modules: Mapping[str, Any], device: str) -> None:
        super().__init__(device)
        self._modules = dict(modules)
        self._waiting: list[tuple[Any, torch.Tensor]] = []
        self._undo: list[Callable[[], None]] = []
        self.present: str | None = None
        for name, module in self._modules.items():
            self._watch(name, module)

    def _watch(self, name: str, module: Any) -> None:
        def come(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            self.enter(name)
            return self.moved(given), self.moved(named)

        hook = module.register_forward_pre_hook(come, with_kwargs=True)
        self._undo.append(hook.remove)
        for method in _OWN_METHODS:
            if hasattr(module, method):
                self._watch_method(name, module, method)

    def _watch_method(self, name: str, module: Any, method: str) -> None:
        inner, own = getattr(module, method), vars(module).get(method)

        def outer(*given: Any, **named: Any) -> Any:
            self.enter(name)
            return inner(*self.moved(given), **self.moved(named))

        setattr(module, method, outer)
        restore = (
            partial(delattr, module, method)
            if own is None
            else partial(setattr, module, method, own)
        )
        self._undo.append(restore)

    def enter(self, name: str) -> None:
        """Bring a module to the device, after the other one has left."""
        if self.present == name:
            return
        self.leave()
        holder = self._holders.get(self._device)
        if holder is not None:
            holder.leave()
        self._holders[self._device] = self
        module = self._modules[name]
        self.present = name
        self._waiting = self.bring((*module.parameters(), *module.buffers()))

    def leave(self) -> None:
        """Send away the module that is on the device."""
        for tensor, host in self._waiting:
            tensor.data = host
        self._waiting.clear()
        self.present = None
        if self._holders.get(self._device) is self:
            del self._holders[self._device]

    def end(self) -> None:
        """Leave the modules as they were."""
        self.leave()
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()


def set_switches(modules: Mapping[str, Any], fit: Fit) -> None:
    """Attention in slices, the VAE in tiles, or neither, as the fit has it; any number of times."""
    vae = modules.get("vae")
    for switch in ("tiling", "slicing"):
        turn = getattr(vae, f"{'enable' if fit.sliced else 'disable'}_{switch}", None)
        if turn is not None:
            turn()
    unet = modules.get("unet")
    if unet is None or not hasattr(unet, "set_attention_slice"):
        return
    if fit.sliced and not hasattr(unet, _USUAL):
        object.__setattr__(unet, _USUAL, dict(unet.attn_processors))
        unet.set_attention_slice("auto")
    elif not fit.sliced and hasattr(unet, _USUAL):
        unet.set_attn_processor(dict(getattr(unet, _USUAL)))
        object.__delattr__(unet, _USUAL)


_USUAL = "_modelhub_attention_processors"
