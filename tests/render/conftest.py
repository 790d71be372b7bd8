"""One worker for all tests: importing torch takes longer than any of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from modelhub.render.answers import Loading, Rendered, Stepped, Told
from modelhub.render.client import RenderWorker
from modelhub.render.request import Request
from tests.render import tiny
from tests.render.warm import AuditedWorker, shared_worker


@dataclass
class Bench:
    """A worker, and what it told while it made the last image."""

    worker: RenderWorker
    told: list[Loading | Stepped | Told] = field(default_factory=list)

    def render(self, request: Request) -> Rendered:
        self.told = []
        return self.worker.render(request, self.told.append, threading.Event())

    @property
    def texts(self) -> str:
        return "\n".join(one.text for one in self.told if isinstance(one, Told))


@pytest.fixture(scope="package")
def one_worker(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> AuditedWorker:
    """The same process for all tests of this folder and of those in it."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    worker = shared_worker(pytestconfig, tmp_path_factory)
    worker.start()
    return worker


@pytest.fixture(scope="package")
def network(one_worker: AuditedWorker) -> Path:
    """A file with what the worker did that reaches for a network; there once it runs."""
    return one_worker.network


@pytest.fixture
def bench(one_worker: AuditedWorker) -> Iterator[Bench]:
    """Whatever a test does to it, the same process is there afterwards."""
    one_worker.start()
    before = one_worker.process_id
    yield Bench(one_worker)
    assert one_worker.process_id == before, "the worker died"


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with whole models; not to be written to."""
    folder = tmp_path_factory.mktemp("models")
    tiny.write_sd1(folder / "sd1.safetensors")
    tiny.write_sdxl(folder / "sdxl.safetensors")
    tiny.write_lora(folder / "lora.safetensors")
    tiny.write_lora(folder / "xl-lora.safetensors", sdxl_one=True)
    tiny.write_vae(folder / "vae.safetensors")
    return folder
