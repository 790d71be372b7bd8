"""Headers of true layout for the tests: put together from the lists in ``tests/data``."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path

from modelhub.formats.identity import Evidence, Identity
from modelhub.formats.tensors import FileFormat, Header, Tensor

LISTS = Path(__file__).parents[2] / "data" / "tensor-lists"
Shapes = dict[str, tuple[int, ...]]

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_L = "cond_stage_model.transformer.text_model."
OPEN_CLIP = "cond_stage_model.model."
EMA = "model_ema.diffusion_model"
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8}


def names() -> list[str]:
    """The names of all lists."""
    return sorted(path.name.removesuffix(".txt.gz") for path in LISTS.glob("*.txt.gz"))


@cache
def _listed(name: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    text = gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode()
    lines = (line.rsplit(" ", 1) for line in text.splitlines())
    return tuple(
        (key, tuple(int(size) for size in shape[1:-1].split(",") if size)) for key, shape in lines
    )


def listed(name: str, prefix: str = "", rank: int = 16) -> Shapes:
    """The shapes of a list under a prefix; `rank` stands where the list leaves the rank open."""
    return {
        prefix + key: tuple(rank if size < 0 else size for size in shape)
        for key, shape in _listed(name)
    }


def header(
    *parts: Shapes | tuple[Shapes, str],
    metadata: Mapping[str, str] | None = None,
    extras: tuple[str, ...] = (),
    format: FileFormat = FileFormat.SAFETENSORS,
) -> Header:
    """A header of these parts, each in fp16 or of the type beside it, its data one by one."""
    tensors: dict[str, Tensor] = {}
    at = 0
    for part in parts:
        shapes, dtype = part if isinstance(part, tuple) else (part, "F16")
        for key, shape in shapes.items():
            # Positions are whole numbers in every real file.
            of_this = "I64" if key.endswith("position_ids") else dtype
            end = at + prod(shape) * _BYTES.get(of_this, 1)
            tensors[key] = Tensor(of_this, shape, (at, end))
            at = end
    return Header(
        format=format,
        tensors=tensors,
        metadata=metadata or {},
        data_start=8,
        size=8 + at,
        extras=extras,
    )


def because(identity: Identity, field: str) -> list[Evidence]:
    """The evidence for one field."""
    return [one for one in identity.evidence if one.field == field]


SD1 = (listed("UNET-v1-SD", UNET), listed("VAE-v1-SD", VAE), listed("CLIP-v1-SD", CLIP_L))
SD2 = (listed("UNET-v2-SD", UNET), listed("VAE-v1-SD", VAE), listed("CLIP-v2-SD", OPEN_CLIP))
SDXL = (
    listed("UNET-XL-SD", UNET),
    listed("VAE-v1-SD", VAE),
    listed("CLIP-v1-SD", "conditioner.embedders.0.transformer.text_model."),
    listed("CLIP-XL-SD", "conditioner.embedders.1.model."),
)
REFINER = (
    listed("UNET-XL-Refiner", UNET),
    listed("VAE-v1-SD", VAE),
    listed("CLIP-XL-SD", "conditioner.embedders.0.model."),
)
SCHEDULE: Shapes = {"betas": (1000,), "alphas_cumprod": (1000,), "posterior_mean_coef1": (1000,)}
EMA_COUNTERS: Shapes = {"model_ema.decay": (), "model_ema.num_updates": ()}
