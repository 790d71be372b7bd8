"""Stopping inside a step, between two blocks of a network."""

from __future__ import annotations

import threading
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from modelhub.errors import Cancelled  # noqa: E402
from modelhub.render.worker.shortage import is_out_of_memory  # noqa: E402
from modelhub.render.worker.stopping import stoppable  # noqa: E402


class Block(nn.Module):
    """Remembers that it computed, and may cancel as the user would meanwhile."""

    def __init__(self, computed: list[int], number: int, cancel: threading.Event | None) -> None:
        super().__init__()
        self.computed, self.number, self.cancel = computed, number, cancel

    def forward(self, values: Any) -> Any:
        self.computed.append(self.number)
        if self.cancel is not None:
            self.cancel.set()
        return values


class Network(nn.Module):
    """Blocks in a list of lists, as a UNet has them."""

    def __init__(self, computed: list[int], cancel: threading.Event, cancelling: int) -> None:
        super().__init__()
        blocks = [Block(computed, n, cancel if n == cancelling else None) for n in range(4)]
        self.halves = nn.ModuleList([nn.ModuleList(blocks[:2]), nn.ModuleList(blocks[2:])])

    def forward(self, values: Any) -> Any:
        for half in self.halves:
            assert isinstance(half, nn.ModuleList)
            for block in half:
                values = block(values)
        return values


def test_a_step_ends_at_the_next_block_and_not_at_its_own_end() -> None:
    computed: list[int] = []
    cancel = threading.Event()
    network = Network(computed, cancel, cancelling=1)
    with pytest.raises(Cancelled), stoppable([network], cancel):
        network(torch.zeros(1))
    assert computed == [0, 1]


def test_nothing_is_left_in_the_network_afterwards() -> None:
    computed: list[int] = []
    cancel = threading.Event()
    network = Network(computed, cancel, cancelling=3)
    with stoppable([network], cancel):
        network(torch.zeros(1))
    network(torch.zeros(1))
    assert computed == [0, 1, 2, 3] * 2
    assert not any(one._forward_pre_hooks for one in network.modules())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 68719476736 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)  # fmt: skip
def test_errors_that_mean_too_little_memory_are_known(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), OSError("out of memory")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_memory_that_the_cpu_really_lacks_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
