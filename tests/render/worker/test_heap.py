"""Memory that was freed serves the next picture, and goes back when none is asked for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
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
_OF_STEPS = f"""
import resource
from modelhub.glibc import give_back

def in_memory():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * resource.getpagesize()

def step():
    bytearray({64 * MIB})

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
kept = in_memory()
give_back()
print(kept - in_memory())
"""


def steps(environment: Mapping[str, str]) -> tuple[int, int]:
    """Pages that steps of 64 MiB got from the system after the first, and bytes given back then."""
    told = subprocess.run(
        [sys.executable, "-c", _OF_STEPS],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    faults, given_back = told.stdout.split()
    return int(faults), int(given_back)


def test_a_step_takes_the_memory_of_the_last_which_is_given_back_in_the_end() -> None:
    faults, given_back = steps(keeping({}))
    assert faults < 1_000  # 80,000, where each step is mapped anew
    assert given_back > 60 * MIB


def test_what_the_user_says_to_the_heap_counts_more() -> None:
    said = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536:glibc.malloc.hugetlb=0"}
    assert steps(keeping(said))[0] > 50_000


def test_the_process_that_renders_keeps_what_it_frees_until_no_picture_is_asked_for(
    bench: Bench, checkpoint: str
) -> None:
    made = bench.render(Recipe(model=checkpoint), width=256, height=256, steps=1)
    environment = Path(f"/proc/{bench.worker.process_id}/environ").read_bytes()
    # The C library takes the text apart where it stands.
    assert all(one.encode() in environment for one in keeping({})["GLIBC_TUNABLES"].split(":"))
    wait_until(lambda: made.peak_bytes - in_memory(bench.worker.process_id) > 16 * MIB)
