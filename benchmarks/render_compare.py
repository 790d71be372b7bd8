"""One file in three precisions, by one worker: it is read from the disk once.

    python benchmarks/render_compare.py [--small] [--steps N] [--size N]

Stable Diffusion 1.x in fp32, 4.3 GB of random weights; fp32, fp16 and bf16 of it at 256x256. What
the worker reads is told by the system (`rchar` of `/proc/PID/io`), and what comes from the disk by
`read_bytes`: before the second precision the file is dropped from the page cache. Claims that the
second and third read no more than 2 % of the file together.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from _common import claim
from _library import workplace
from _render import Asked, describe, made, models

from modelhub.convert.options import Precision
from modelhub.render.client import RenderWorker


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    asked = Asked.from_arguments(steps=2)
    read: list[tuple[int, int]] = []
    with workplace() as place:
        (model,), _ = models(place, asked, 1, dtype="F32")
        size = model.stat().st_size
        drop_from_cache(model)
        with RenderWorker() as worker:
            for precision in (Precision.FP32, Precision.FP16, Precision.BF16):
                image = made(worker, model, asked, precision)
                read.append(read_by(worker))
                steps = " ".join(f"{one:.2f}" for one in image.steps)
                print(
                    f"{precision}: {image.seconds:.1f} s in all, of them "
                    f"{image.image.seconds_loading:.1f} s of loading; steps {steps}; "
                    f"{describe(image.image)}"
                )
                drop_from_cache(model)
    for number, name in enumerate(("asked of the system", "from the disk")):
        first, later = read[0][number], read[2][number] - read[0][number]
        print(f"{name}: {first / size:.2f} times the file for the first, {later / size:.3f} after")
    again = max(read[2][number] - read[0][number] for number in range(2)) / size
    return 0 if claim("of the file, read again for two more precisions", again, 0.02) else 1


def read_by(worker: RenderWorker) -> tuple[int, int]:
    """Bytes that the worker asked the system for so far, and those that came from the disk."""
    lines = Path(f"/proc/{worker.process_id}/io").read_text().splitlines()
    counted = dict(line.split(": ") for line in lines)
    return int(counted["rchar"]), int(counted["read_bytes"])


def drop_from_cache(path: Path) -> None:
    """Let the next read of the file come from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
