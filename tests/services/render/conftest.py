"""A library of tiny models of true layout, and a worker that stays warm for all tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.catalog import open_catalog
from modelhub.demo.weights import adapters
from modelhub.demo.weights.files import write_safetensors
from modelhub.progress import Event
from modelhub.render.pool import RenderPool
from modelhub.render.request import Settings
from modelhub.services.render import Again, RenderedImage, RenderReport, RenderWish
from modelhub.services.render.again import render_again
from modelhub.services.render.run import render
from tests.render import tiny
from tests.render.warm import shared_worker
from tests.services.index.shelf import Library, settings

SETTINGS: dict[str, Any] = {
    "prompt": "a cat",
    "steps": 1,
    "width": 64,
    "height": 64,
    "sampler": "Euler",
}


@dataclass
class Studio:
    """A library to render from; `told` is what the last run said."""

    library: Library
    pool: RenderPool
    told: list[Event] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)
    watch: Callable[[Event], None] = lambda event: None

    @property
    def root(self) -> Path:
        return self.library.root

    def index(self) -> None:
        self.library.index()

    def render(self, *texts: Path | str, **wishes: Any) -> RenderReport:
        """With :data:`SETTINGS`, unless the wishes say otherwise."""
        names = Settings.__struct_fields__
        said = SETTINGS | {key: wishes.pop(key) for key in list(wishes) if key in names}
        self.told.clear()
        return render(
            [str(text) for text in texts],
            RenderWish(settings=Settings(**said), **wishes),
            config=self.library.config,
            catalog=self.library.catalog,
            listener=self._listen,
            cancel=self.cancel,
            pool=self.pool,
        )

    def one(self, *texts: Path | str, **wishes: Any) -> RenderedImage:
        """The only picture of a run."""
        report = self.render(*texts, **wishes)
        assert not report.failed, [one.error for one in report.failed]
        [image] = report.made
        return image

    def again(self, number: int) -> Again:
        return render_again(
            number,
            out=None,
            config=self.library.config,
            catalog=self.library.catalog,
            listener=self._listen,
            cancel=self.cancel,
            pool=self.pool,
        )

    def _listen(self, event: Event) -> None:
        self.told.append(event)
        self.watch(event)


@pytest.fixture(scope="session")
def warm_pool(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> RenderPool:
    worker = shared_worker(pytestconfig, tmp_path_factory)
    return RenderPool(make=lambda: worker)


@pytest.fixture
def studio(
    tmp_path: Path, warm_pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    config = replace(config, catalog=replace(config.catalog, busy_timeout=0.5))
    with open_catalog(config) as catalog:
        yield Studio(Library(root, catalog, config), warm_pool)


@pytest.fixture
def stocked(studio: Studio) -> Studio:
    """With a checkpoint, a LoRA, a VAE and an embedding for it, indexed."""
    root = studio.root
    tiny.write_sd1(root / "base.safetensors")
    tiny.write_lora(root / "style.safetensors")
    tiny.write_vae(root / "soft.vae.safetensors")
    write_embedding(root / "badhands.safetensors")
    studio.index()
    return studio


def write_embedding(path: Path) -> Path:
    """A textual inversion of two vectors for the tiny model of SD 1.x."""
    says = {"modelspec.architecture": "stable-diffusion-v1/textual-inversion"}
    write_safetensors(path, adapters.embedding(tiny.SD1, 2), 5, says)
    return path


without_vae = partial(tiny.write_sd1, without=lambda name: name.startswith("first_stage_model."))
