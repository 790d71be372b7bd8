"""One process that renders, for all tests of this folder that make images, and tiny models."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights import adapters, sd1
from modelhub.demo.weights.files import write_safetensors
from modelhub.render.answers import Loading, Rendered, Stepped, Told
from modelhub.render.client import Progress, RenderWorker
from modelhub.render.request import DeviceWish, Recipe, Request, Settings


@dataclass(slots=True)
class Bench:
    """A worker and what it said."""

    worker: RenderWorker
    folder: Path
    network: Path
    numbers: Iterator[int] = field(default_factory=count)
    said: list[Progress] = field(default_factory=list)

    def request(self, recipe: Recipe, **more: Any) -> Request:
        """A request of a small image in three steps; `more` are of the settings, or of it."""
        own = {key: more.pop(key) for key in ("preview", "fix_black") if key in more}
        given = {"prompt": "a cat", "steps": 3, "width": 64, "height": 64, "seed": 5, **more}
        return Request(
            id=f"r{next(self.numbers)}",
            recipe=recipe,
            settings=Settings(**given),
            wish=DeviceWish(device="cpu"),
            **own,
        )

    def render(
        self,
        recipe: Recipe,
        *,
        listen: Callable[[Progress], None] = lambda progress: None,
        cancel: threading.Event | None = None,
        **more: Any,
    ) -> Rendered:
        """Render it; what is said is in `said` afterwards."""
        self.said.clear()

        def heard(progress: Progress) -> None:
            self.said.append(progress)
            listen(progress)

        request = self.request(recipe, **more)
        made = self.worker.render(request, heard, cancel or threading.Event())
        assert made.id == request.id
        assert {one.id for one in self.said} <= {request.id}
        return made

    @property
    def loaded(self) -> list[Loading]:
        """What was read."""
        return [one for one in self.said if isinstance(one, Loading)]

    @property
    def steps(self) -> list[Stepped]:
        """Steps that were told."""
        return [one for one in self.said if isinstance(one, Stepped)]

    @property
    def told(self) -> list[Told]:
        """Notices that were told."""
        return [one for one in self.said if isinstance(one, Told)]


@pytest.fixture(scope="package")
def bench(
    one_worker: RenderWorker, network: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    return Bench(one_worker, tmp_path_factory.mktemp("renders"), network)


@pytest.fixture(scope="package")
def checkpoint(bench: Bench) -> str:
    """A tiny SD 1.x checkpoint."""
    path = bench.folder / "tiny.safetensors"
    write_safetensors(path, sd1.checkpoint(sd1.TINY), 1, {})
    return os.fspath(path)


@pytest.fixture(scope="package")
def lora(bench: Bench) -> str:
    """A LoRA for it."""
    path = bench.folder / "lora.safetensors"
    write_safetensors(path, adapters.lora(sd1.TINY, 4), 2, {})
    return os.fspath(path)
