"""A process that renders for a long time takes no more memory than for a short one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhub.demo.weights import adapters, sd1, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.render.request import Recipe, Weighted
from tests.render.worker.conftest import Bench

MIB = 1 << 20
ROUNDS = 6


def in_memory(process_id: int | None) -> int:
    """Bytes of a process that are in memory."""
    status = Path(f"/proc/{process_id}/statm")
    if not status.exists():
        pytest.skip("this system does not tell")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_models_and_loras_that_take_turns_take_no_memory_of_their_own_each_time(
    bench: Bench, checkpoint: str, lora: str
) -> None:
    other, large, large_lora = (
        bench.folder / f"{name}.safetensors" for name in ("another", "large", "large lora")
    )
    write_safetensors(other, sd1.checkpoint(sd1.TINY), 31, {})
    write_safetensors(large, sdxl.checkpoint(sdxl.TINY), 32, {})
    write_safetensors(large_lora, adapters.xl_lora(sdxl.TINY, 4), 33, {})
    pairs = [(checkpoint, lora), (str(other), lora), (str(large), str(large_lora))]
    in_use = []
    for number in range(ROUNDS):
        for model, added in pairs:
            loras = (Weighted(added, 0.5 + number / 10),) if number % 3 else ()
            bench.render(Recipe(model=model, loras=loras), steps=1)
        in_use.append(in_memory(bench.worker.process_id))
    # The first rounds fill the cache; what one round leaks by its LoRAs alone is some 8 MiB.
    assert max(in_use[-2:]) - max(in_use[:3]) < 32 * MIB
