"""The weights of a module as they were, for as long as others are in their place.

A changed weight gets a new tensor, and the old one is kept as it is and put back: nothing is ever
written into it, since a cache of parts may hold it too. So it costs no further memory there, and
what comes back is not a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor
    from torch.nn import Module


@dataclass(slots=True)
class Originals:
    """Of one module: its changed parameters as they were, and what changed them.

    :param applied: says which LoRAs are in the module; None while that is being changed.
    :param overflowed: how many changed parameters have values beyond their type.
    :param in_bytes: how many are of a type of 8 bits.
    """

    _module: ref[Module]
    applied: Hashable = ()
    overflowed: int = 0
    in_bytes: int = 0
    _kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def module(self) -> Module:
        """Whose parameters they are. It is not kept alive by them."""
        module = self._module()
        if module is None:
            raise ReferenceError("the module of these parameters is gone")
        return module

    @property
    def changed(self) -> frozenset[str]:
        """The names of all parameters that are not as they were."""
        return frozenset(self._kept)

    def tensor(self, name: str) -> Tensor:
        """A parameter as it was before any LoRA; not to be written into."""
        kept = self._kept.get(name)
        return self.module.get_parameter(name).detach() if kept is None else kept

    def replace(self, name: str, values: Tensor) -> Tensor:
        """Put other numbers into a parameter; what it was is kept.

        :param values: in its shape; rounded to its type.
        :return: the parameter, with the new numbers.
        """
        import torch

        parameter = self.module.get_parameter(name)
        filled = torch.empty_like(parameter.detach())
        filled.copy_(values)
        self._kept.setdefault(name, parameter.data)
        parameter.data = filled
        return filled

    def restore(self, names: Iterable[str]) -> None:
        """Make parameters what they were; those that were not changed are passed over."""
        for name in names:
            if name in self._kept:
                parameter = self.module.get_parameter(name)
                # Elsewhere now, if the module was moved meanwhile.
                parameter.data = self._kept[name].to(parameter.device)
                del self._kept[name]


_originals: WeakKeyDictionary[Module, Originals] = WeakKeyDictionary()
"""Of all modules that LoRAs were ever put into: two pipelines that share a module share these."""


def originals_of(module: Module) -> Originals:
    """The originals of a module, the same ones each time."""
    found = _originals.get(module)
    if found is None:
        found = _originals[module] = Originals(ref(module))
    return found
