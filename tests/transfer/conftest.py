"""A demo hub for each test process, without faults at the start of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub
from modelhub.transfer import locks

from .tools import MIB, Client, noise


@pytest.fixture(scope="session")
def running_hub() -> Iterator[DemoHub]:
    with DemoHub(catalogue=False) as hub:
        yield hub


@pytest.fixture
def hub(running_hub: DemoHub) -> Iterator[DemoHub]:
    running_hub.forget_requests()
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture
def client(hub: DemoHub, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    def make(data: bytes | int = 12 * MIB, **more: object) -> Client:
        content = data if isinstance(data, bytes) else noise(data)
        return Client(hub, tmp_path / "models", content, **more)  # type: ignore[arg-type]

    yield make
    for lock in list(locks._held.values()):
        lock.release()
    locks._held.clear()
    locks._at_rest.clear()
