"""What a step of a render takes: in a worker, and in a plain script of diffusers.

    python benchmarks/render_step.py [--small] [--steps N] [--size N]

Stable Diffusion 1.x of full size, random weights in fp16, 256x256, Euler. The two take turns, so
that what else the machine does falls on both. Claims at most 1.02 times the time of diffusers, by
the medians of all steps but the first of each run.
"""

from __future__ import annotations

import statistics
import sys

from _common import claim
from _library import workplace
from _render import Asked, describe, made, models, peer, peer_command

from modelhub.render.client import RenderWorker

RUNS = 3


def main() -> int:
    """Measure, print, and say by the exit code whether the claim holds."""
    asked = Asked.from_arguments(steps=8)
    ours: list[float] = []
    theirs: list[float] = []
    with workplace() as place:
        (model,), settings = models(place, asked, 1)
        for _ in range(RUNS):
            _, told = peer(peer_command(model, settings, asked))
            theirs += told["seconds_steps"]
            # A worker for each run: two processes with a model each would compete for the memory.
            with RenderWorker() as worker:
                image = made(worker, model, asked)
            ours += image.steps
    print(f"diffusers: {told['device']}, peak {told['peak_bytes'] / 1e9:.1f} GB")
    print(f"modelhub:  {describe(image.image)}")
    for name, steps in (("diffusers", theirs), ("modelhub", ours)):
        spread = f"{min(steps):.3f} to {max(steps):.3f}"
        print(f"{name:10}{statistics.median(steps):7.3f} s a step ({spread}, {len(steps)} steps)")
    ratio = statistics.median(ours) / statistics.median(theirs)
    return 0 if claim("seconds a step, in times of diffusers", ratio, 1.02) else 1


if __name__ == "__main__":
    sys.exit(main())
