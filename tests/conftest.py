"""What all tests share: a demo hub a process, without faults at the start of each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from modelhub.demo.hub import DemoHub

# Tests run beside each other, one a core: threads that wait for each other in spinning loops, of
# torch and of what the tests start, would take a tiny picture from a tenth of a second to ten.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example is late on a busy machine. CI tries the same ones each time, so that what fails there
# can be done again; at a desk they are new ones each time, so that more is found.
hypothesis_settings.register_profile(
    "any machine", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis_settings.load_profile("any machine")


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
