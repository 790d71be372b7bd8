"""torch for tests that call it in their own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", name="torch")
def quiet_torch() -> Iterator[Any]:
    """torch on one thread; the libraries above it offline and silent."""
    for name in ("torch", "diffusers", "transformers"):
        pytest.importorskip(name)
    from modelhub.render.pipelines.libraries import library

    with pytest.MonkeyPatch.context() as patch:
        # The renderer tells its own process to stay offline; this one runs other tests too.
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            patch.setitem(os.environ, name, "1")
        torch, _, _ = (library(name) for name in ("torch", "diffusers", "transformers"))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield torch
        torch.set_num_threads(threads)
