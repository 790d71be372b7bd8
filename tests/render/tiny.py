"""Models of true layout that render in a blink, whole and broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelhub.demo.weights import adapters, sd1, sdxl
from modelhub.demo.weights.files import write_safetensors, write_torch_zip
from modelhub.demo.weights.tables import Table, cast
from modelhub.formats.reading import read_header
from modelhub.render.request import Recipe, Request, Settings

SD1 = replace(sd1.TINY, text_layers=2)
SDXL = sdxl.TINY
_SD1_SAYS: Mapping[str, str] = {"modelspec.architecture": "stable-diffusion-v1"}
UNET_TENSOR = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight"
LAST_TENSOR = "model.diffusion_model.out.2.weight"
VAE_TENSOR = "first_stage_model.decoder.conv_in.weight"


def _nothing(name: str) -> bool:
    return False


def write_sd1(
    path: Path,
    *,
    dtype: str = "F32",
    seed: int = 7,
    without: Callable[[str], bool] = _nothing,
    before: bytes = b"",
    widths: sd1.Widths = SD1,
    says: Mapping[str, str] = _SD1_SAYS,
) -> Path:
    """A checkpoint of Stable Diffusion 1.x, in a pickle or not by the suffix of its name.

    :param without: which tensors are left out.
    :param before: opcodes that run when the pickle is loaded.
    :param says: the metadata.
    """
    if path.suffix == ".safetensors" and without is _nothing:
        path.write_bytes(_whole(dtype, seed, widths, tuple(says.items())))
        return path
    table = [one for one in cast(sd1.checkpoint(widths), dtype) if not without(one.name)]
    if path.suffix == ".ckpt":
        write_torch_zip(path, table, seed, before=before)
    else:
        write_safetensors(path, table, seed, says)
    return path


@lru_cache(maxsize=3)
def _whole(dtype: str, seed: int, widths: sd1.Widths, says: tuple[tuple[str, str], ...]) -> bytes:
    """The file of a whole model: its thousand tensors are drawn once for many tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "whole.safetensors"
        write_safetensors(path, cast(sd1.checkpoint(widths), dtype), seed, dict(says))
        return path.read_bytes()


def write_sdxl(path: Path, seed: int = 7) -> Path:
    """A checkpoint of SDXL."""
    return _written(path, sdxl.checkpoint(SDXL), seed, "stable-diffusion-xl-v1-base")


def write_vae(path: Path, seed: int = 11) -> Path:
    """A VAE for Stable Diffusion 1.x."""
    return _written(path, sd1.autoencoder(SD1), seed, "stable-diffusion-v1/vae")


def write_lora(path: Path, *, sdxl_one: bool = False, seed: int = 5) -> Path:
    """A LoRA in kohya's names."""
    if sdxl_one:
        return _written(path, adapters.xl_lora(SDXL, 4), seed, "stable-diffusion-xl-v1-base/lora")
    return _written(path, adapters.lora(SD1, 4), seed, "stable-diffusion-v1/lora")


def _written(path: Path, table: Table, seed: int, architecture: str) -> Path:
    write_safetensors(path, table, seed, {"modelspec.architecture": architecture})
    return path


def patched(path: Path, name: str, change: Callable[[NDArray[Any]], None]) -> Path:
    """Change the numbers of one tensor of a safetensors file in fp32, in place."""
    header = read_header(path)
    start, end = header.tensors[name].data_offsets
    with path.open("r+b") as file:
        file.seek(header.data_start + start)
        numbers = np.frombuffer(file.read(end - start), "<f4").copy()
        change(numbers)
        file.seek(header.data_start + start)
        file.write(numbers.tobytes())
    return path


def asked(
    model: Path,
    *,
    recipe: Mapping[str, Any] | None = None,
    id: str = "1",
    fix_black: bool = True,
    **settings: Any,
) -> Request:
    """A request for a picture of 64 by 64 in two steps, unless the settings say otherwise."""
    usual: dict[str, Any] = {
        "prompt": "a photo of a cat",
        "seed": 3,
        "steps": 2,
        "width": 64,
        "height": 64,
        "sampler": "Euler",
    }
    return Request(
        id=id,
        recipe=Recipe(model=str(model), **(recipe or {})),
        settings=Settings(**(usual | settings)),
        fix_black=fix_black,
    )
