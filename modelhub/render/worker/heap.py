"""Memory that the process has freed: kept for the next step and the next model, and given back to
the system once nobody wants an image, or when memory is short.

By itself glibc maps each large tensor anew and gives it back when it is freed: a step of a UNet
then takes a third of its time for pages that the system clears, and a model has to wait for new
memory while that of the last one lies idle. On other systems nothing here does anything.

Sources: gnu.org/software/libc/manual, "Memory Allocation Tunables" and ``malloc_trim(3)``;
docs.kernel.org/admin-guide/mm/transhuge.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.glibc import give_back
from modelhub.render.devices import host_memory

_VARIABLE = "GLIBC_TUNABLES"
_TUNABLES = {
    # Huge pages where the system leaves it to programs: one fault for 2 MiB instead of 512.
    "hugetlb": 1,
    # One heap, which grows and is used again, instead of a mapping for each large tensor ...
    "mmap_max": 0,
    "arena_max": 1,
    # ... and which only glibc.give_back() makes smaller.
    "trim_threshold": 1 << 60,
    "top_pad": 64 << 20,
}
_SHORT_SHARE = 2
"""With less than half of the machine's memory free, what is kept may be what is missing."""


def keeping(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes a process started with it keep its memory.

    :param environment: of the process; what it says already counts more.
    """
    ours = ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())
    said = environment.get(_VARIABLE)
    return {_VARIABLE: f"{ours}:{said}" if said else ours}


def give_back_if_short() -> None:
    """Give what is free back to the system where the machine has little memory left."""
    total, free = host_memory()
    if free < total // _SHORT_SHARE:
        give_back()
