"""Which devices a test image wishes for, and which wishes the devices of a host meet.

A device is named as `modelhub render --device` takes it: ``cuda:1``, ``rocm``, ``mps``, ``cpu``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.render.devicenames import kind_and_index, listed
from modelhub.services.jobs.model import JobKind

_ALSO = {"rocm": ("rocm", "cuda")}
"""Scripts made for AMD's cards ask for cuda, as torch does."""
_PROCESSOR = "cpu"


def wished_devices(kind: str, arguments: Mapping[str, Any]) -> str:
    """The devices that a job needs all of, with commas between; empty: whichever there is.

    What is no device's name is empty as well: any host may say so.
    """
    if kind != JobKind.RENDER:
        return ""
    wish = arguments.get("wish")
    about = wish.get("device") if isinstance(wish, Mapping) else None
    text = about.get("device") if isinstance(about, Mapping) else None
    names = listed(text.lower()) if isinstance(text, str) else []
    return ",".join(names) if all(kind_and_index(one) for one in names) else ""


def wishes_met(devices: Iterable[str]) -> list[str]:
    """All names by which these devices may be wished for."""
    found: set[str] = set()
    for device in devices:
        named = kind_and_index(device)
        if named is None:
            continue
        for kind in _ALSO.get(named[0], (named[0],)):
            found |= {kind, f"{kind}:{named[1] or 0}"}
    return sorted(found)


def computes_fast(devices: Iterable[str]) -> bool:
    """Whether one of them is more than a processor."""
    return any(not one.startswith(_PROCESSOR) for one in devices)
