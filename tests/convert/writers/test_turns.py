from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned, Values
from modelhub.convert.writers import write_safetensors
from modelhub.convert.writers.pieces import turn_of

MIB = 1 << 20


class Weighing(Values):
    """Four numbers that say that making them takes so many bytes."""

    dtype = "F32"
    shape = (4,)

    def __init__(self, memory: int) -> None:
        self._memory = memory

    @property
    def memory(self) -> int:
        return self._memory

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield bytes(16)


def most_at_once(weights: list[int]) -> int:
    """How much was under way at the same time, when each took its turn."""
    lock = Lock()
    running = most = 0

    def work(values: Weighing) -> None:
        nonlocal running, most
        for _ in range(50):
            with turn_of(values):
                with lock:
                    running += values.memory
                    most = max(most, running)
                with lock:
                    running -= values.memory

    with ThreadPoolExecutor(len(weights)) as pool:
        list(pool.map(work, map(Weighing, weights)))
    return most


def test_values_are_made_side_by_side_as_far_as_memory_reaches() -> None:
    assert most_at_once([100 * MIB] * 8) <= 256 * MIB


def test_what_takes_more_than_all_of_it_is_made_alone() -> None:
    assert most_at_once([900 * MIB] * 4) == 900 * MIB


def test_a_result_of_tensors_beyond_all_memory_is_written(tmp_path: Path) -> None:
    tensors = tuple(Planned(f"t{number}", Weighing(1 << 40), "F32") for number in range(8))
    written = write_safetensors(Plan(tensors=tensors), tmp_path / "out.safetensors")
    assert written.path.stat().st_size == written.nbytes
