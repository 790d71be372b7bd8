from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from tests.services.index.shelf import Library, settings


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Library(root, catalog, config)
