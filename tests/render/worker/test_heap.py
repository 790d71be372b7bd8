"""Memory that was freed serves the next picture, and goes back when none is asked for."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from modelhub.render.request import Recipe
from modelhub.render.worker.heap import keeping
from tests.patience import wait_until
from tests.render.worker.conftest import Bench
from tests.render.worker.test_leaks import MIB, in_memory

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like"
)
SIDE = 384
"""Pixels at which the maps of a tiny VAE are of several MiB, which glibc would map each anew."""


def faults(process_id: int | None) -> int:
    """How many pages a process got from the system so far."""
    after_name = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2]
    return int(after_name.split()[7])


def test_the_next_picture_is_made_in_the_memory_of_the_last(bench: Bench, checkpoint: str) -> None:
    for _ in range(2):  # once to make the model, once to find the heap's size
        bench.render(Recipe(model=checkpoint), width=SIDE, height=SIDE)
    before = faults(bench.worker.process_id)
    made = bench.render(Recipe(model=checkpoint), width=SIDE, height=SIDE)
    assert made.faults == ()
    # All maps of one picture are some 100,000 pages, when each of them is mapped anew.
    assert faults(bench.worker.process_id) - before < 5_000


def test_memory_goes_back_to_the_system_when_no_picture_is_asked_for(
    bench: Bench, checkpoint: str
) -> None:
    made = bench.render(Recipe(model=checkpoint), width=2 * SIDE, height=2 * SIDE)
    wait_until(lambda: made.peak_bytes - in_memory(bench.worker.process_id) > 32 * MIB)


def test_what_the_user_says_to_the_heap_counts_more() -> None:
    said = "glibc.malloc.mmap_max=65536"
    assert keeping({"GLIBC_TUNABLES": said})["GLIBC_TUNABLES"].endswith(f":{said}")
    assert keeping({})["GLIBC_TUNABLES"].startswith("glibc.malloc.")
