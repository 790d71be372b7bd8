"""A library of tiny models of true layout, on disk and in the catalog."""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.catalog import open_catalog
from modelhub.services.index import index
from tests.render import tiny
from tests.tui.desk import Desk

OLD = 1_600_000_000
"""Seconds since 1970."""


def stock(desk: Desk) -> dict[str, Path]:
    """A safe checkpoint in a pickle, a dangerous one, one in safetensors, a LoRA and a VAE."""
    from modelhub.demo.recipes import malicious_checkpoint

    folder = desk.root
    for name in ("checkpoints", "loras", "vae"):
        (folder / name).mkdir(exist_ok=True)
    found = {
        "ckpt": tiny.write_sd1(folder / "checkpoints" / "old mix.ckpt", seed=3),
        "model": tiny.write_sd1(folder / "checkpoints" / "garden.safetensors"),
        "lora": tiny.write_lora(folder / "loras" / "ink.safetensors"),
        "vae": tiny.write_vae(folder / "vae" / "clear.safetensors"),
        "danger": folder / "checkpoints" / "too good.ckpt",
    }
    malicious_checkpoint(1)(found["danger"])
    for path in found.values():
        # Written long ago: an index waits for files that may still be growing.
        os.utime(path, (OLD, OLD))
    with open_catalog(desk.config) as catalog:
        index([folder], config=desk.config, catalog=catalog)
    return found
