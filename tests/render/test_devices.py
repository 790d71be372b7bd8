"""Which device is taken, of those that are there."""

from __future__ import annotations

import pytest

from modelhub.convert.options import Precision
from modelhub.errors import NoSuchDevice
from modelhub.render.devices import Device, DeviceKind, choose, devices, host_memory

_GIB = 1 << 30
_CPU = Device(DeviceKind.CPU, 0, "AMD EPYC", 64 * _GIB, 32 * _GIB, threads=2)
_SMALL = Device(DeviceKind.CUDA, 0, "RTX 3060", 12 * _GIB, 11 * _GIB)
_LARGE = Device(DeviceKind.CUDA, 1, "RTX 4090", 24 * _GIB, 23 * _GIB)
_AMD = Device(DeviceKind.ROCM, 0, "Radeon", 16 * _GIB, 15 * _GIB)
_APPLE = Device(DeviceKind.MPS, 0, "Apple M3", 16 * _GIB, 9 * _GIB)


def test_the_graphics_card_with_the_most_free_memory_is_taken() -> None:
    assert choose(among=(_SMALL, _LARGE, _CPU)) is _LARGE


def test_without_any_the_processor_is_taken() -> None:
    assert choose(among=(_CPU,)) is _CPU


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("cuda:0", _SMALL),
        ("cuda:1", _LARGE),
        ("cuda", _LARGE),
        (" CUDA:1 ", _LARGE),
        ("cpu", _CPU),
    ],
)
def test_a_wish_is_followed(wish: str, expected: Device) -> None:
    assert choose(wish, among=(_SMALL, _LARGE, _CPU)) is expected


@pytest.mark.parametrize("wish", ["rocm", "rocm:0", "cuda", "cuda:0"])
def test_a_card_of_amd_is_known_by_both_of_its_names(wish: str) -> None:
    assert choose(wish, among=(_AMD, _CPU)) is _AMD
    assert _AMD.torch_name == "cuda:0"


@pytest.mark.parametrize(
    "wish", ["cuda:7", "xpu", "tpu", "", "cuda:", "cpu; rm -rf /", "cuda:9999"]
)
def test_a_device_that_is_not_here_is_refused_with_those_that_are(wish: str) -> None:
    with pytest.raises(NoSuchDevice) as caught:
        choose(wish, among=(_SMALL, _CPU))
    assert "cuda:0, cpu" in caught.value.hint


def test_devices_are_told_in_words() -> None:
    assert _CPU.words == "cpu (AMD EPYC, 2 threads)"
    assert _LARGE.words == "cuda:1 (RTX 4090)"
    assert _SMALL.words == "cuda (RTX 3060)"
    assert _APPLE.torch_name == "mps"


def test_this_machine_has_a_processor_with_memory() -> None:
    pytest.importorskip("torch")
    found = devices()[-1]
    assert found.is_cpu
    assert found.name
    assert found.threads >= 1
    assert _GIB // 8 < found.free <= found.total
    assert found.native <= {Precision.FP16, Precision.BF16}


def test_no_more_memory_is_free_than_there_is() -> None:
    total, free = host_memory()
    assert 0 < free <= total
