"""What tests may say of time: little, since they share two cores with each other."""

from __future__ import annotations

import time
from collections.abc import Callable

SOON = 20.0
"""Seconds in which a busy machine does what it does at once, and in which what must not be waited
for (a server that says nothing, an hour's Retry-After) does not come."""


def wait_until(holds: Callable[[], object], patience: float = 60.0) -> None:
    """Look again and again whether something holds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
