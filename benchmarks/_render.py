"""What the render benchmarks share: the same image asked of a worker, and of plain diffusers."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import REPOSITORY
from _full_size import write_model, write_settings
from _plain_diffusers import CFG, PROMPT, SEED

from modelhub.convert.options import Precision
from modelhub.render.answers import Loading, Rendered, Stepped, Told
from modelhub.render.client import RenderWorker
from modelhub.render.request import Recipe, Request, Settings

SAMPLER = "Euler"
_PEER = Path(__file__).with_name("_plain_diffusers.py")


@dataclass(frozen=True)
class Asked:
    """The command line of a benchmark: `--small` tries it out with a narrow model.

    :param size: of the image, each side in pixels.
    """

    small: bool
    steps: int
    size: int

    @classmethod
    def from_arguments(cls, steps: int) -> Asked:
        """`steps` and 256 pixels, unless `--steps N` or `--size N` say otherwise."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--small", action="store_true")
        parser.add_argument("--steps", type=int, default=steps)
        parser.add_argument("--size", type=int, default=256)
        given = parser.parse_args()
        return cls(given.small, given.steps, given.size)


@dataclass(frozen=True)
class Made:
    """An image of a worker.

    :param seconds: from the request to the image, all in all.
    :param steps: seconds of each step but the first.
    """

    seconds: float
    steps: list[float]
    image: Rendered


def models(place: Path, asked: Asked, number: int, dtype: str = "F16") -> tuple[list[Path], Path]:
    """Files of different weights, and what diffusers needs beside them."""
    paths = [place / f"model-{seed}.safetensors" for seed in range(number)]
    for seed, path in enumerate(paths):
        write_model(path, dtype=dtype, seed=seed, small=asked.small)
    write_settings(paths[0], place / "settings")
    return paths, place / "settings"


def made(
    worker: RenderWorker, model: Path, asked: Asked, precision: Precision | None = None
) -> Made:
    """The image of a file, by a worker; warnings are printed."""
    ends: list[float] = []

    def listen(progress: Loading | Stepped | Told) -> None:
        if isinstance(progress, Stepped):
            ends.append(time.perf_counter())
        elif isinstance(progress, Told) and progress.warning:
            print(f"  told: {progress.text}")

    began = time.perf_counter()
    image = worker.render(request(model, asked, precision), listen, threading.Event())
    seconds = time.perf_counter() - began
    ends = ends[-asked.steps :]
    return Made(seconds, [b - a for a, b in itertools.pairwise(ends)], image)


def request(model: Path, asked: Asked, precision: Precision | None) -> Request:
    """For the image that the peer makes too."""
    settings = Settings(
        prompt=PROMPT,
        seed=SEED,
        steps=asked.steps,
        cfg=CFG,
        sampler=SAMPLER,
        schedule="normal",
        width=asked.size,
        height=asked.size,
    )
    recipe = Recipe(model=str(model), precision=precision)
    return Request(id=model.name, recipe=recipe, settings=settings)


def peer_command(model: Path, settings: Path, asked: Asked) -> list[str]:
    """Plain diffusers, for :func:`peer`."""
    # The precision of the files: on a GPU both compute in it.
    more = ["--dtype", "fp16", "--steps", str(asked.steps), "--size", str(asked.size)]
    return [sys.executable, str(_PEER), str(model), str(settings), *more]


def peer(command: list[str]) -> tuple[float, dict[str, Any]]:
    """Seconds of the whole process, and what it says of itself."""
    began = time.perf_counter()
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    return time.perf_counter() - began, json.loads(ended.stdout)


def timed(function: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def describe(image: Rendered) -> str:
    """Where and how an image was computed."""
    arithmetic = f"{image.weights} weights, {image.arithmetic} arithmetic"
    return f"{image.device}, {arithmetic}, peak {image.peak_bytes / 1e9:.1f} GB"
