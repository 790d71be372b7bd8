"""Small checkpoints of the true layout, written once, and what assembles them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights import sd1, sd2, sdxl
from modelhub.demo.weights.files import write_safetensors, write_torch_zip
from modelhub.demo.weights.tables import Table, cast
from modelhub.render.answers import Loading, Told
from modelhub.render.devices import Device, DeviceKind
from modelhub.render.memory import Fit
from modelhub.render.pipelines.assembling import Assembled, assemble
from modelhub.render.pipelines.blank import blank_inputs
from modelhub.render.pipelines.cache import PartsCache
from modelhub.render.request import Recipe
from tests.render.pipelines.flow_models import Shelf
from tests.render.quiet import quiet_torch  # noqa: F401 (a fixture)

WIDTHS = replace(sd1.TINY, text_layers=2)
SIZE = 64
TABLES: dict[str, Table] = {
    "sd1": sd1.checkpoint(WIDTHS),
    "sd2": sd2.checkpoint(sd2.TINY),
    "sdxl": sdxl.checkpoint(sdxl.TINY),
    "refiner": sdxl.refiner(sdxl.TINY),
    "inpainting": sd1.checkpoint(replace(WIDTHS, unet_inputs=9)),
    "pix2pix": sd1.checkpoint(replace(WIDTHS, unet_inputs=8)),
    "depth": sd1.checkpoint(replace(WIDTHS, unet_inputs=5)),
    "sd1 fp16": cast(sd1.checkpoint(WIDTHS), "F16"),
}
CPU = Device(DeviceKind.CPU, 0, "a processor", 64 << 30, 32 << 30, threads=1)


class Files:
    """The files, each written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, name: str, *, seed: int = 7) -> Path:
        """A safetensors file of one of the tables."""
        path = self.folder / f"{name} {seed}.safetensors"
        if not path.exists():
            write_safetensors(path, TABLES[name], seed, {})
        return path

    def ckpt(self, name: str) -> Path:
        """The same in the zip of torch."""
        path = self.folder / f"{name}.ckpt"
        if not path.exists():
            write_torch_zip(path, TABLES[name], 7)
        return path

    def table(self, name: str, table: Table, *, seed: int = 7) -> Path:
        """A file of any table."""
        path = self.folder / name
        write_safetensors(path, table, seed, {})
        return path


@pytest.fixture(scope="session", name="files")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session", name="shelf")
def _shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("parts"))


@dataclass
class Assembler:
    """Assembles with a cache of its own, and keeps what it was told."""

    cache: PartsCache = field(default_factory=lambda: PartsCache(1 << 30))
    told: list[Loading | Told] = field(default_factory=list)
    device: Device = CPU
    cancel: threading.Event = field(default_factory=threading.Event)
    react: Callable[[Loading | Told], None] | None = None

    def __call__(self, recipe: Recipe, *, fit: Fit | None = None) -> Assembled:
        """The pipeline of a recipe; `told` is of this call alone."""
        self.told.clear()
        return assemble(
            recipe, self.device, self._hear, self.cancel, self.cache, size=(SIZE, SIZE), fit=fit
        )

    def _hear(self, event: Loading | Told) -> None:
        self.told.append(event)
        if self.react is not None:
            self.react(event)

    @property
    def bytes_read(self) -> int:
        """Of all files, in the last call."""
        last = {one.what: one.done for one in self.told if isinstance(one, Loading)}
        return sum(last.values())

    @property
    def warnings(self) -> list[str]:
        """What the last call warned of."""
        return [one.text for one in self.told if isinstance(one, Told) and one.warning]


@pytest.fixture(name="assembler")
def _assembler(torch: Any) -> Assembler:
    return Assembler()


def weights_in(assembled: Any, part: str = "unet") -> dict[str, Any]:
    """The tensors of a part, as its module has them."""
    found: dict[str, Any] = assembled.parts[part].module.state_dict()
    return found


def picture(assembled: Assembled, *, steps: int = 1) -> Any:
    """What a seed gives, as numbers."""
    return called(assembled.pipe, steps=steps, **blank_inputs(assembled.pipeline_class, SIZE, SIZE))


def called(pipe: Any, *, steps: int = 1, **options: Any) -> Any:
    """A pipeline of diffusers called with a seed."""
    import torch

    seed = torch.Generator().manual_seed(3)
    return pipe(
        prompt="a photo of a cat",
        generator=seed,
        num_inference_steps=steps,
        output_type="pt",
        **options,
    ).images
