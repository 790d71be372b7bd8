"""The first image of a model, and the first of a second one in the same worker.

    python benchmarks/render_first.py [--small] [--steps N] [--size N]

Two files of Stable Diffusion 1.x in fp16, 2.1 GB each of other random weights; 2 steps at 256x256.
The peer is a plain script of diffusers, the whole process: start, import, load, render. Against it:
`modelhub render`, the whole process too, of a file that is in the library, so that its hashes are
known; and the second file in a worker that rendered the first. Claims at most 1.0 and 0.6 times.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from _common import claim
from _library import workplace
from _plain_diffusers import CFG, PROMPT, SEED
from _render import SAMPLER, Asked, Made, describe, made, models, peer, peer_command, timed

from modelhub.render.client import RenderWorker

RUNS = 3
MODELHUB = [sys.executable, "-m", "modelhub", "--quiet"]


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    asked = Asked.from_arguments(steps=2)
    seconds: dict[str, list[float]] = {"diffusers": [], "first image": [], "second file": []}
    with workplace() as place:
        library = place / "models"
        library.mkdir()
        (first, second), settings = models(library, asked, 2)
        subprocess.run([*MODELHUB, "index", str(library)], check=True, stdout=subprocess.DEVNULL)
        for number in range(RUNS):
            took, told = peer(peer_command(first, settings, asked))
            seconds["diffusers"].append(took)
            command = ours(first, place / f"images-{number}", asked)
            seconds["first image"].append(timed(partial(run, command)))
            image = second_file(first, second, asked)
            seconds["second file"].append(image.seconds)
    print(f"diffusers: {told['device']}, peak {told['peak_bytes'] / 1e9:.1f} GB")
    print(f"modelhub:  {describe(image.image)}")
    for name, every in seconds.items():
        print(f"{name:12}{median(every):7.2f} s   {' '.join(f'{one:.2f}' for one in every)}")
    whole = median(seconds["diffusers"])
    held = [
        claim("the first image, in times of diffusers", median(seconds["first image"]) / whole, 1),
        claim("the second file, likewise", median(seconds["second file"]) / whole, 0.6),
    ]
    return 0 if all(held) else 1


def ours(model: Path, folder: Path, asked: Asked) -> list[str]:
    """The command that renders the same image as the peer."""
    size = f"{asked.size}x{asked.size}"
    return [
        *MODELHUB, "render", str(model), "--prompt", PROMPT, "--seed", str(SEED), "--cfg", str(CFG),
        "--steps", str(asked.steps), "--sampler", SAMPLER, "--size", size, "--out", str(folder),
    ]  # fmt: skip


def run(command: list[str]) -> None:
    """To its end, which must be a good one."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def second_file(first: Path, second: Path, asked: Asked) -> Made:
    """The image of a file by a worker that rendered another one before."""
    with RenderWorker() as worker:
        made(worker, first, asked)
        return made(worker, second, asked)


def median(every: list[float]) -> float:
    """The middle one."""
    return statistics.median(every)


if __name__ == "__main__":
    sys.exit(main())
