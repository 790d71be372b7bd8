"""How much memory a render took at its peak, of the device or of the process."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
"""Resets ``VmHWM``: proc(5), /proc/pid/clear_refs."""


def forget_peak(device: str) -> None:
    """Begin to measure.

    :param device: as torch names it: ``cuda:1``, ``mps``, ``cpu``.
    """
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    elif device.startswith("xpu"):
        torch.xpu.reset_peak_memory_stats(device)
    with suppress(OSError):
        _CLEAR.write_text(_FORGET_PEAK)


def peak_bytes(device: str) -> int:
    """The most that was in use since then; of the process where the device keeps no count."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if device.startswith("xpu"):
        return int(torch.xpu.max_memory_allocated(device))
    if device == "mps":
        return int(torch.mps.driver_allocated_memory())
    return _peak_of_process()


def _peak_of_process() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
