"""Checkpoints for the benchmarks of conversions, and the memory that a process has for itself."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import REPOSITORY

from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned, Values
from modelhub.convert.writers import write_ckpt

GIB = 1 << 30
CONVERT = [sys.executable, "-m", "modelhub", "--quiet", "convert"]
_SIDE = 2048


@functools.cache
def _drawn() -> bytes:
    generator = np.random.Generator(np.random.PCG64(0))
    return generator.standard_normal(_SIDE * _SIDE, dtype=np.float32).tobytes()


class Drawn(Values):
    """A square of random numbers in fp32: the same ones, begun elsewhere for each `number`."""

    dtype = "F32"
    shape = (_SIDE, _SIDE)

    def __init__(self, number: int) -> None:
        self._start = number * 4 * 4099 % (_SIDE * _SIDE * 4)

    def pieces(self) -> Iterator[bytes | memoryview]:
        numbers = memoryview(_drawn())
        for part in (numbers[self._start :], numbers[: self._start]):
            for start in range(0, len(part), 1 << 20):
                yield part[start : start + (1 << 20)]


def write_checkpoint(path: Path, size: int, dtype: str, *, ema: bool) -> None:
    """A torch checkpoint of about `size` bytes: a UNet's tensors, with or without EMA twins."""
    each = _SIDE * _SIDE * (4 if dtype == "F32" else 2)
    tensors = []
    for number in range(size // each // (2 if ema else 1)):
        name = f"diffusion_model.output_blocks.{number}.1.proj_in.weight"
        tensors.append(Planned(f"model.{name}", Drawn(number), dtype))
        if ema:
            twin = f"model_ema.{name.replace('.', '')}"
            tensors.append(Planned(twin, Drawn(1_000 + number), dtype))
    write_ckpt(Plan(tensors=tuple(tensors)), path)


class Measured(NamedTuple):
    """One run of a process: seconds, and the most memory in MiB that was its own."""

    seconds: float
    own: float


def measured(command: Sequence[str]) -> Measured:
    """Run a command, and look at its memory a hundred times a second.

    :raises RuntimeError: it failed.
    """
    began = time.perf_counter()
    own = 0
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environ) as process:
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    own = max(own, int(line.split()[1]))
            time.sleep(0.01)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return Measured(seconds, own / 1024)
