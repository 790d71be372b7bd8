"""Stopping inside a step: the blocks of a network look whether somebody has cancelled."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelhub.errors import Cancelled

if TYPE_CHECKING:
    from torch import nn


def stop_if(cancel: threading.Event) -> None:
    """Go on, or not.

    :raises Cancelled: somebody has cancelled.
    """
    if cancel.is_set():
        raise Cancelled("the render was cancelled", hint="images that were finished are kept")


@contextmanager
def stoppable(modules: Iterable[nn.Module], cancel: threading.Event) -> Iterator[None]:
    """Let every block of these modules (a member of a list of modules: a layer, a resnet, an
    attention) look at `cancel` before it computes, which raises :class:`Cancelled` through the
    computation. A UNet has about a hundred: a look costs nothing beside a block."""

    def look(module: nn.Module, arguments: Any) -> None:
        stop_if(cancel)

    handles = [block.register_forward_pre_hook(look) for block in _blocks(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocks(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    from torch import nn

    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.ModuleList):
                yield from part
