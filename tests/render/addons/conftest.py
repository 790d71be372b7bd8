"""Tiny models and add-ons for them, and a pipeline that has none on it before each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelhub.render.addons import remove_loras
from tests.render.quiet import quiet_torch  # noqa: F401 (a fixture)

from .models import Models, bits


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, torch: Any) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", name="shared")
def _shared(models: Models) -> Any:
    return models.pipeline("sd1")


@pytest.fixture(name="pipe")
def _pipe(shared: Any) -> Iterator[Any]:
    """The pipeline of SD 1, without a LoRA before each test, and left so."""
    remove_loras(shared)
    before = bits(shared)
    yield shared
    remove_loras(shared)
    assert bits(shared) == before
