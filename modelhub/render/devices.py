"""What there is to compute on, and which of it to take."""

from __future__ import annotations

import functools
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelhub.convert.options import Precision
from modelhub.errors import NoSuchDevice
from modelhub.render.devicenames import kind_and_index
from modelhub.render.pipelines.libraries import library

_HALVES_OF_CPUS = {Precision.BF16: ("_is_avx512_bf16_supported", "_is_amx_tile_supported")}


class DeviceKind(StrEnum):
    """Kinds of devices, the best first."""

    CUDA = "cuda"
    ROCM = "rocm"
    """AMD's; torch calls it cuda."""
    XPU = "xpu"
    MPS = "mps"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    :param index: among those of its kind.
    :param name: of the maker: ``NVIDIA GeForce RTX 3060``.
    :param total: memory in bytes.
    :param free: memory in bytes, when it was looked at.
    :param native: types of 16 bits in which it computes about as fast as it can.
    :param threads: that torch computes with, of a CPU.
    """

    kind: DeviceKind
    index: int
    name: str
    total: int
    free: int
    native: frozenset[Precision] = frozenset()
    threads: int = 0

    @property
    def torch_name(self) -> str:
        """As torch calls it: ``cuda:1``."""
        if self.kind in (DeviceKind.CPU, DeviceKind.MPS):
            return self.kind.value
        kind = DeviceKind.CUDA if self.kind is DeviceKind.ROCM else self.kind
        return f"{kind.value}:{self.index}"

    @property
    def is_cpu(self) -> bool:
        """Whether it computes in the host's memory."""
        return self.kind is DeviceKind.CPU

    @property
    def words(self) -> str:
        """For people: ``cpu (AMD EPYC, 2 threads)``."""
        if self.is_cpu:
            return f"cpu ({self.name}, {self.threads} thread{'s' * (self.threads != 1)})"
        place = f":{self.index}" if self.index else ""
        return f"{self.kind.value}{place} ({self.name})"


def devices() -> tuple[Device, ...]:
    """All devices that torch can use here, the best first; the CPU is always the last.

    :raises MissingExtra: torch is not installed.
    """
    torch = library("torch")
    return (*_of_cuda(torch), *_of_xpu(torch), *_of_mps(torch), _cpu(torch))


def choose(wish: str | None = None, *, among: Sequence[Device] | None = None) -> Device:
    """The device that was asked for, or the one to take by itself.

    That is the first of the best kind; of several GPUs of a kind the one with the most free memory.

    :param wish: ``cuda``, ``cuda:1``, ``rocm``, ``mps``, ``xpu``, ``cpu``; None: any.
    :param among: those to choose from; by default all that are here.
    :raises NoSuchDevice: it is not there, or is no device's name.
    """
    found = devices() if among is None else tuple(among)
    if wish is None:
        best = [one for one in found if one.kind is found[0].kind]
        return max(best, key=lambda one: one.free)
    fitting = [one for one in found if _is_meant(one, wish)]
    if not fitting:
        raise NoSuchDevice(
            f"there is no device {wish[:40]!r} here",
            hint=f"there is {', '.join(one.torch_name for one in found)}",
        )
    return max(fitting, key=lambda one: one.free)


def _is_meant(device: Device, wish: str) -> bool:
    named = kind_and_index(wish)
    # Scripts made for AMD's cards ask for cuda, as torch does.
    kinds = {device.kind.value, device.torch_name.partition(":")[0]}
    return named is not None and named[0] in kinds and named[1] in (None, device.index)


def refreshed(device: Device) -> Device:
    """The same device with the memory that is free now."""
    return next((one for one in devices() if one.torch_name == device.torch_name), device)


def _of_cuda(torch: Any) -> list[Device]:
    if not torch.cuda.is_available():
        return []
    kind = DeviceKind.ROCM if torch.version.hip else DeviceKind.CUDA
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        major, minor = torch.cuda.get_device_capability(index)
        native = {Precision.FP16} if kind is DeviceKind.ROCM or (major, minor) >= (5, 3) else set()
        if kind is DeviceKind.ROCM or major >= 8:
            native.add(Precision.BF16)
        name = torch.cuda.get_device_name(index)
        found.append(Device(kind, index, name, total, free, frozenset(native)))
    return found


def _of_xpu(torch: Any) -> list[Device]:
    xpu = getattr(torch, "xpu", None)
    if xpu is None or not xpu.is_available():
        return []
    found = []
    for index in range(xpu.device_count()):
        properties = xpu.get_device_properties(index)
        total = int(properties.total_memory)
        used = int(xpu.memory_reserved(index))
        halves = frozenset({Precision.FP16, Precision.BF16})
        found.append(
            Device(DeviceKind.XPU, index, str(properties.name), total, total - used, halves)
        )
    return found


def _of_mps(torch: Any) -> list[Device]:
    if not torch.backends.mps.is_available():
        return []
    total = int(torch.mps.recommended_max_memory())
    free = min(total - int(torch.mps.driver_allocated_memory()), host_memory()[1])
    return [Device(DeviceKind.MPS, 0, _processor(), total, free, frozenset({Precision.FP16}))]


def _cpu(torch: Any) -> Device:
    total, free = host_memory()
    native = {
        precision
        for precision, questions in _HALVES_OF_CPUS.items()
        if any(getattr(torch.cpu, one, bool)() for one in questions)
    }
    if getattr(torch.cpu, "_is_amx_fp16_supported", bool)():
        native.add(Precision.FP16)
    return Device(
        DeviceKind.CPU, 0, _processor(), total, free, frozenset(native), torch.get_num_threads()
    )


@functools.cache
def _processor() -> str:
    """The processor's name, as its maker writes it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def host_memory() -> tuple[int, int]:
    """Bytes of this machine's memory, and of those that a process may still take.

    A limit of the control group counts as the machine's, as it does for what runs in a container.
    """
    total, free = _of_meminfo() or _of_sysconf()
    limit = _of_control_group()
    if limit is not None:
        total, free = min(total, limit[0]), min(free, limit[1])
    return total, max(free, 0)


def _of_meminfo() -> tuple[int, int] | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    sizes = {name: int(size) << 10 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}
    if "MemTotal" not in sizes:
        return None
    return sizes["MemTotal"], sizes.get("MemAvailable", sizes.get("MemFree", 0))


def _of_sysconf() -> tuple[int, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    try:
        return total, page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        # macOS counts no free pages here; most of its memory is caches that it gives up.
        return total, total // 2


def _of_control_group() -> tuple[int, int] | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        caches = re.search(
            r"^inactive_file (\d+)$",
            (folder / "memory.stat").read_text(encoding="ascii"),
            re.MULTILINE,
        )
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    # What was read from files is given up for whoever needs the memory.
    return int(limit), int(limit) - used + (int(caches[1]) if caches else 0)
