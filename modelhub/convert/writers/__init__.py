"""Results of conversions: written tensor by tensor, read back, and only then given their names."""

from __future__ import annotations

from modelhub.convert.writers.diffusers import write_diffusers
from modelhub.convert.writers.overflow import find_overflows
from modelhub.convert.writers.safetensors import write_safetensors
from modelhub.convert.writers.sizes import file_size
from modelhub.convert.writers.torch_zip import write_ckpt
from modelhub.convert.writers.written import Overflowing, Phase, Progress, Written

__all__ = [
    "Overflowing",
    "Phase",
    "Progress",
    "Written",
    "file_size",
    "find_overflows",
    "write_ckpt",
    "write_diffusers",
    "write_safetensors",
]
