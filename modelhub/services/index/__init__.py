"""Index: the catalog brought in step with what is on disk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelhub.services.index.hashing import hash_waiting
    from modelhub.services.index.places import add_root
    from modelhub.services.index.report import (
        Faulty,
        Happened,
        Happening,
        IndexReport,
        RootReport,
        Unsafe,
    )
    from modelhub.services.index.run import index

# Loaded when first used: the processes that read headers import this package, and need none.
_HOMES = {
    "index": "run",
    "hash_waiting": "hashing",
    "add_root": "places",
    "Faulty": "report",
    "Happened": "report",
    "Happening": "report",
    "IndexReport": "report",
    "RootReport": "report",
    "Unsafe": "report",
}

__all__ = [
    "Faulty",
    "Happened",
    "Happening",
    "IndexReport",
    "RootReport",
    "Unsafe",
    "add_root",
    "hash_waiting",
    "index",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
