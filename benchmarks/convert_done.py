"""A full-EMA checkpoint of full size, pruned to fp16 safetensors: diffusers makes the same image.

    python benchmarks/convert_done.py [--small]

The source is a `.ckpt` of Stable Diffusion 1.x in fp32 with its EMA twin, 7.7 GB of random weights.
`modelhub convert --dtype fp16 --prune` makes a file of 2.1 GB of it. Plain diffusers loads both
from the single file, the source rounded to fp16 by torch, and renders with each: 2 steps at
256x256. Claims that not one pixel differs. With `--small` the same of a narrow model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _common import REPOSITORY, claim
from _convert import CONVERT, measured
from _full_size import write_model, write_settings
from _library import workplace

PEER = [sys.executable, str(Path(__file__).with_name("_plain_diffusers.py"))]


def main() -> int:
    """Make, convert, render, compare; say by the exit code whether the claims hold."""
    small = "--small" in sys.argv[1:]
    with workplace() as place:
        source, target, settings = (
            place / name for name in ("source.ckpt", "target.safetensors", "settings")
        )
        write_model(source, dtype="F32", ema=True, small=small)
        arguments = ["--dtype", "fp16", "--prune", "--output", str(target)]
        took = measured([*CONVERT, str(source), *arguments])
        print(
            f"{size(source)} to {size(target)} in {took.seconds:.1f} s, "
            f"with {took.own:.0f} MiB of memory of its own"
        )
        write_settings(target, settings)
        images = {path.name: rendered(path, settings) for path in (source, target)}
    before, after = images.values()
    print(f"image: mean {before.mean():.1f}, standard deviation {before.std():.1f} of 255")
    difference = int(np.abs(before.astype(int) - after.astype(int)).max())
    same = claim("largest difference of the images, of 255", difference, 0)
    # An image of one colour would be the same by accident.
    varied = claim("1 / standard deviation of the image", 1 / max(before.std(), 1e-9), 1)
    return 0 if same and varied else 1


def size(path: Path) -> str:
    """In GB, as files are published."""
    return f"{path.stat().st_size / 1e9:.2f} GB"


def rendered(model: Path, settings: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The image that diffusers makes with the weights of a file rounded to fp16."""
    image = settings / "image.bin"
    command = [*PEER, str(model), str(settings), "--dtype", "fp16", "--image", str(image)]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(REPOSITORY)}
    )
    took: dict[str, Any] = json.loads(ended.stdout)
    print(
        f"{model.name}: diffusers on {took['device']}: loaded in {took['seconds_loading']:.1f} s, "
        f"rendered in {took['seconds_rendering']:.1f} s, peak {took['peak_bytes'] / 1e9:.1f} GB"
    )
    return np.frombuffer(image.read_bytes(), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
