"""Stable Diffusion 1.x files of the published size and layout, with random weights from a seed."""

from __future__ import annotations

import argparse
from pathlib import Path

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.options import ConvertOptions
from modelhub.convert.plan import make_plan
from modelhub.convert.readers import open_source
from modelhub.demo.weights import sd1
from modelhub.demo.weights.ema import full_ema
from modelhub.demo.weights.files import write_safetensors, write_torch_zip
from modelhub.demo.weights.tables import cast


def write_model(
    path: Path, *, dtype: str = "F16", ema: bool = False, seed: int = 0, small: bool = False
) -> None:
    """A checkpoint by the suffix of its name, tensor by tensor: memory holds one at a time.

    With an EMA twin, as training leaves it, it has 7.7 GB in fp32; without, 4.3 GB; in fp16 the
    half. All values are of the size that keeps activations finite.

    :param small: of the same layout, but narrow: to try a benchmark out.
    """
    table = sd1.checkpoint(sd1.TINY if small else sd1.TRUE)
    table = cast(full_ema(table) if ema else table, dtype)
    if path.suffix == ".ckpt":
        write_torch_zip(path, table, seed)
    else:
        metadata = {"modelspec.architecture": "stable-diffusion-v1"}
        write_safetensors(path, table, seed, metadata)


def write_settings(model: Path, folder: Path) -> None:
    """What diffusers needs beside a single file to load it: configurations and the tokenizer."""
    with open_source(model) as source:
        files = to_diffusers(make_plan(source, ConvertOptions(prune=True))).beside_weights
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def main() -> None:
    """Write one: `python benchmarks/_full_size.py model.ckpt --dtype F32 --ema`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--dtype", choices=["F32", "F16"], default="F16")
    parser.add_argument("--ema", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    write_model(given.path, dtype=given.dtype, ema=given.ema, seed=given.seed, small=given.small)


if __name__ == "__main__":
    main()
