"""What the tests of the terminal UI share. Coroutines run by anyio's plugin, which comes with
httpx."""

from __future__ import annotations

import pytest

from tests.tui.desk import desk

__all__ = ["desk"]


@pytest.fixture
def anyio_backend() -> str:
    """Textual runs on asyncio."""
    return "asyncio"
