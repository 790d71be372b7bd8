"""The peer of the render benchmarks: a plain script of diffusers, as a process of its own.

    python benchmarks/_plain_diffusers.py MODEL SETTINGS [--dtype fp16] [--image OUT.bin]

It loads a single file by `from_single_file` and prints what it took as one line of JSON. A
precision is that of the weights; where the processor has no native arithmetic in it (any CPU here),
the weights are rounded to it and computed with in fp32, as `modelhub render` does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

PROMPT = "a photo of a cat"
SEED = 3
CFG = 7.5


def main() -> None:
    """Load, render, print."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("settings")
    parser.add_argument("--dtype", choices=["fp32", "fp16", "bf16"], default="fp32")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--image", type=Path)
    given = parser.parse_args()
    began = time.perf_counter()
    import diffusers
    import torch
    import transformers

    silence: Any = (diffusers.utils.logging, transformers.logging)
    for logging in silence:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    imported = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = loaded(given, torch, diffusers, device)
    ready = time.perf_counter()
    image, steps = rendered(given, torch, pipeline)
    ended = time.perf_counter()
    if given.image is not None:
        given.image.write_bytes(image.tobytes())
    took: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "seconds_importing": imported - began,
        "seconds_loading": ready - imported,
        "seconds_rendering": ended - ready,
        "seconds_steps": steps,
        "peak_bytes": peak(torch, device),
    }
    json.dump(took, sys.stdout)


def loaded(given: argparse.Namespace, torch: Any, diffusers: Any, device: str) -> Any:
    """The pipeline, on its device."""
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[given.dtype]
    pipeline = diffusers.StableDiffusionPipeline.from_single_file(
        given.model,
        config=given.settings,
        local_files_only=True,
        torch_dtype=dtype,
        safety_checker=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    return pipeline.to(device) if device == "cuda" else pipeline.to(torch.float32)


def rendered(given: argparse.Namespace, torch: Any, pipeline: Any) -> tuple[Any, list[float]]:
    """The image as 8-bit numbers, and the seconds of each step but the first."""
    ends: list[float] = []

    def end_of_step(_pipe: Any, _step: int, _time: int, tensors: dict[str, Any]) -> dict[str, Any]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
        return tensors

    picture = pipeline(
        PROMPT,
        num_inference_steps=given.steps,
        guidance_scale=CFG,
        width=given.size,
        height=given.size,
        generator=torch.Generator().manual_seed(SEED),
        output_type="np",
        callback_on_step_end=end_of_step,
    ).images[0]
    between = [after - before for before, after in itertools.pairwise(ends)]
    return (picture * 255).round().astype("uint8"), between


def processor() -> str:
    """What the CPU calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu ({names[0] if names else 'unknown'}, {os.cpu_count()} threads)"


def peak(torch: Any, device: str) -> int:
    """The most memory in bytes: of the device, or of this process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
