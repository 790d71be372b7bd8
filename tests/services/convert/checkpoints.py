"""Small checkpoints of the true layout, with what real ones have besides: an EMA twin."""

from __future__ import annotations

from pathlib import Path

from modelhub.demo.weights import files, sd1
from modelhub.demo.weights.ema import ema_twins
from modelhub.demo.weights.tables import cast

SMALL = sd1.Widths(unet=16, vae=16, text=32, vocabulary=256, text_layers=2)


def write_checkpoint(
    path: Path,
    *,
    ema: bool = True,
    dtype: str = "F32",
    seed: int = 7,
    before: bytes = b"",
) -> None:
    """A checkpoint as ``torch.save`` writes it, or as safetensors by the suffix of its name."""
    table = sd1.checkpoint(SMALL)
    table = cast(table + (ema_twins(table) if ema else []), dtype)
    if path.suffix == ".safetensors":
        files.write_safetensors(path, table, seed, {"modelspec.title": "Small"})
    else:
        files.write_torch_zip(path, table, seed, before=before)
