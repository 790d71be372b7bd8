from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.catalog import open_catalog
from tests.services.index.shelf import settings

from .desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A ComfyUI library with a catalog, and a home of its own."""
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    config = replace(config, library=replace(config.library, root=str(root)))
    with open_catalog(config) as catalog:
        yield Desk(root, catalog, config)
