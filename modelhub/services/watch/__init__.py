"""Watch: the catalog kept in step with the disk as things happen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelhub.services.watch.report import Lost, Remark, Told, Watching
    from modelhub.services.watch.watcher import watch

# Loaded when first used: who asks how the roots are watched needs nothing of what watches.
_HOMES = {
    "Lost": "report",
    "Remark": "report",
    "Told": "report",
    "Watching": "report",
    "watch": "watcher",
}

__all__ = ["Lost", "Remark", "Told", "Watching", "watch"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
