"""How the content of each demo file is made, and kept for the next run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from modelhub.demo.weights import adapters, files, sd1
from modelhub.demo.weights.tables import Table, cast

Maker: TypeAlias = Callable[[Path], None]
"""Writes a file to the path that it is given."""

_MARK = {"modelhub.demo": "true", "modelhub.demo.note": "random weights for trying modelhub out"}
_LAYOUT = "v1"
"""Part of the names of kept files: raise it when what the recipes make changes."""


def checkpoint(seed: int, title: str, dtype: str = "F16") -> Maker:
    """An SD 1.x checkpoint of tiny widths."""
    table = cast(sd1.checkpoint(sd1.TINY), dtype)
    metadata = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "sgm",
        "modelspec.title": title,
        "modelspec.prediction_type": "epsilon",
        "modelspec.resolution": "512x512",
    }
    return _safetensors(table, seed, metadata)


def autoencoder(seed: int, title: str) -> Maker:
    """A VAE of tiny widths."""
    table = cast(sd1.autoencoder(sd1.TINY), "F16")
    return _safetensors(
        table,
        seed,
        {"modelspec.architecture": "stable-diffusion-v1/vae", "modelspec.title": title},
    )


def lora(seed: int, title: str, trigger: str, rank: int = 4) -> Maker:
    """A LoRA for the tiny checkpoints, with the metadata of kohya's trainer."""
    table = cast(adapters.lora(sd1.TINY, rank), "F16")
    metadata = {
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.title": title,
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": "sakushimixFinished_sakushimixFinal.safetensors",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": "1.0",
        "ss_resolution": "(512, 512)",
        "ss_v2": "False",
        "ss_tag_frequency": f'{{"10_{trigger}": {{"{trigger}": 40, "ink": 31, "paper": 12}}}}',
    }
    return _safetensors(table, seed, metadata)


def embedding(seed: int, vectors: int = 4) -> Maker:
    """A textual inversion as safetensors, of the true width."""
    return _safetensors(adapters.embedding(sd1.TRUE, vectors), seed, {})


def pickled_embedding(seed: int, vectors: int = 4) -> Maker:
    """The same as a harmless torch file."""

    def make(path: Path) -> None:
        files.write_torch_zip(path, adapters.embedding(sd1.TRUE, vectors), seed)

    return make


def malicious_checkpoint(seed: int) -> Maker:
    """A torch file whose pickle runs a command when it is loaded (it would leave a note)."""

    def make(path: Path) -> None:
        command = "echo a checkpoint ran this > modelhub-demo-canary.txt"
        table = cast(adapters.embedding(sd1.TRUE, 16), "F16")
        files.write_torch_zip(path, table, seed, before=files.system_call(command))

    return make


def _safetensors(table: Table, seed: int, metadata: Mapping[str, str]) -> Maker:
    def make(path: Path) -> None:
        files.write_safetensors(path, table, seed, {**_MARK, **metadata})

    return make


def kept(folder: Path | None, name: str, make: Maker) -> Maker:
    """`make`, whose file is kept in `folder` as `name` for the next time; None keeps nothing."""
    if folder is None:
        return make

    def reuse(path: Path) -> None:
        store = folder / f"{_LAYOUT}-{name}"
        if not store.exists():
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".making-")
            os.close(handle)
            try:
                make(Path(temporary))
                Path(temporary).replace(store)
            finally:
                Path(temporary).unlink(missing_ok=True)
        shutil.copyfile(store, path)

    return reuse
