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

AUDIT = """
import sys
def note(event, arguments):
    # To bind is to ask nobody: urllib3 looks so whether there is IPv6.
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        with open({path!r}, "a") as stream:
            stream.write(event + "\\n")
if "modelhub.render.worker" in sys.orig_argv:
    open({path!r}, "a").close()
    sys.addaudithook(note)
"""


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
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with what the worker did that reaches for a network; there once it runs."""
    return tmp_path_factory.mktemp("network") / "network.txt"


@pytest.fixture(scope="package")
def one_worker(network: Path) -> Iterator[RenderWorker]:
    """The same process for all tests of this folder and of those in it."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    audit = network.with_name("audit")
    audit.mkdir()
    (audit / "sitecustomize.py").write_text(AUDIT.format(path=str(network)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(audit))
        # One thread: tests run beside each other.
        patch.setenv("OMP_NUM_THREADS", "1")
        with RenderWorker() as worker:
            worker.start()
            yield worker


@pytest.fixture
def bench(one_worker: RenderWorker) -> Iterator[Bench]:
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
