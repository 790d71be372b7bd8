"""What all tests share: a demo hub a process, without faults at the start of each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from modelhub.demo.hub import DemoHub

# Tests run beside each other, one a core: threads that wait for each other in spinning loops, of
# torch and of what the tests start, would take a tiny picture from a tenth of a second to ten.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_hub() -> Iterator[DemoHub]:
    """A hub with the demo models; tests publish more, and remove none."""
    with DemoHub() as running:
        yield running


@pytest.fixture
def hub(shared_hub: DemoHub) -> Iterator[DemoHub]:
    shared_hub.forget_requests()
    yield shared_hub
    shared_hub.faults.clear()
