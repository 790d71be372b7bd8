"""Tiny models of true layout as pipelines of diffusers, and LoRAs for them as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelhub.convert.diffusers import to_diffusers
from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned
from modelhub.convert.writers import write_diffusers
from modelhub.demo.weights import adapters, sd1, sd2, sdxl
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Table, cast
from tests.formats.weights import write_safetensors as write_arrays

SD1 = replace(sd1.TINY, text_layers=3)
CHECKPOINTS: Mapping[str, Table] = {
    "sd1": sd1.checkpoint(SD1),
    "sd2": sd2.checkpoint(sd2.TINY),
    "sdxl": sdxl.checkpoint(sdxl.TINY),
    "refiner": sdxl.refiner(sdxl.TINY),
}
RANK = 4
LORAS: Mapping[str, Table] = {
    "sd1": adapters.lora(SD1, RANK),
    "sd1 in the names of PEFT": adapters.peft_lora(SD1, RANK),
    "sd2": adapters.lora(
        sd1.Widths(unet=sd2.TINY.unet, text=sd2.TINY.text, text_layers=sd2.TINY.text_layers - 1),
        RANK,
    ),
    "sdxl": adapters.xl_lora(sdxl.TINY, RANK),
}
"""SD 2 reads its text before the last layer, which diffusers leaves out."""
Arrays = dict[str, NDArray[Any]]
CROSS = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
CONV = "lora_unet_down_blocks_1_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
SHAPES: Mapping[str, tuple[int, ...]] = {CROSS: (16, 32), CONV: (32, 16, 3, 3), TEXT: (128, 32)}
"""Modules of the SD 1 checkpoint, and the shapes of their weights."""


class Models:
    """Checkpoints, folders and LoRAs, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self, name: str) -> Path:
        """The single file, in fp16."""
        path = self._folder / f"{name}.safetensors"
        if not path.exists():
            write_safetensors(path, cast(CHECKPOINTS[name], "F16"), seed=7, metadata={})
        return path

    def folder(self, name: str) -> Path:
        """The same as a folder of diffusers."""
        target = self._folder / name
        if not target.exists():
            with open_source(self.checkpoint(name)) as source:
                planned = (Planned(one, it, it.dtype) for one, it in source.tensors.items())
                write_diffusers(to_diffusers(Plan(tensors=tuple(planned))), target)
        return target

    def lora(self, name: str) -> Path:
        path = self._folder / f"lora for {name}.safetensors"
        if not path.exists():
            write_safetensors(path, LORAS[name], seed=11, metadata={})
        return path

    def pipeline(self, name: str, **options: Any) -> Any:
        """A pipeline of its own, its weights in fp32 and in memory of their own."""
        diffusers: Any = import_module("diffusers")
        loaded = diffusers.DiffusionPipeline.from_pretrained(
            self.folder(name), local_files_only=True, **{"torch_dtype": "float32", **options}
        )
        return with_own_memory(loaded)


def with_own_memory(pipeline: Any) -> Any:
    """The same, no weight in a mapped file: where it starts in memory sets the last bit."""
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, encoder_2(pipeline)):
        for tensor in part.parameters() if part is not None else ():
            tensor.data = tensor.data.clone()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def encoder_2(pipeline: Any) -> Any:
    return getattr(pipeline, "text_encoder_2", None)


def bits(pipeline: Any) -> dict[str, bytes]:
    """All weights that LoRAs could change, as they are in memory."""
    import torch

    found = {}
    for folder in ("unet", "text_encoder", "text_encoder_2"):
        module = getattr(pipeline, folder, None)
        for name, one in module.named_parameters() if module is not None else ():
            raw = one.detach().contiguous().reshape(-1).view(torch.uint8)
            found[f"{folder}/{name}"] = raw.numpy().tobytes()
    return found


def picture(pipeline: Any) -> NDArray[Any]:
    """What two steps with a seed give, from 0 to 1."""
    import torch

    made = pipeline(
        "a photo of a cat",
        height=64,
        width=64,
        num_inference_steps=2,
        output_type="np",
        generator=torch.Generator().manual_seed(3),
    ).images
    return np.asarray(made)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * np.float32(0.3)


def family(name: str) -> Arrays:
    """A file that changes three modules, as the trainers of that family write it."""
    made: Arrays = {}
    for number, (stem, shape) in enumerate(SHAPES.items()):
        for role, one in _layer(name, shape, number).items():
            made[f"{stem}.{role}"] = one
    return made


def _layer(name: str, shape: tuple[int, ...], seed: int) -> Arrays:
    rows, columns = shape[0], int(np.prod(shape[1:]))
    alpha = np.array(2.0, "<f4")
    if name == "loha":
        sides = {f"hada_w{it}_a": draw(rows, RANK, seed=seed + it) for it in (1, 2)}
        sides |= {f"hada_w{it}_b": draw(RANK, columns, seed=seed + it + 9) for it in (1, 2)}
        return {**sides, "alpha": alpha}
    if name == "lokr":
        rest = (rows // 4, shape[1] // 4, *shape[2:])
        return {"lokr_w1": draw(4, 4, seed=seed), "lokr_w2": draw(*rest, seed=seed + 1)}
    if name == "whole difference":
        return {"diff": draw(*shape, seed=seed)}
    ones = (1,) * len(shape[2:])
    layer: Arrays = {
        "lora_down.weight": draw(RANK, *shape[1:], seed=seed),
        "lora_up.weight": draw(rows, RANK, *ones, seed=seed + 1),
        "alpha": alpha,
    }
    if name == "dora":
        layer["dora_scale"] = np.abs(draw(rows, 1, *ones, seed=seed + 2)) + np.float32(0.5)
    return layer


def write(path: Path, arrays: Arrays, metadata: Mapping[str, str] | None = None) -> Path:
    return write_arrays(path, arrays, metadata)
