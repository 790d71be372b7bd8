from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from modelhub.demo.hub import DemoHub
from modelhub.network import USER_AGENT


@pytest.fixture
def hub() -> Iterator[DemoHub]:
    """A hub on which nothing is published yet."""
    with DemoHub(catalogue=False) as running:
        yield running


@pytest.fixture(scope="session")
def shop() -> Iterator[DemoHub]:
    """A hub with the demo models, that no test changes."""
    with DemoHub() as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"User-Agent": USER_AGENT}, timeout=20) as opened:
        yield opened
