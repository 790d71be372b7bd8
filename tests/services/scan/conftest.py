"""Small pickles that would do harm, a library, and a catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from tests.services.index.shelf import Library, settings

DATA = Path(__file__).parents[2] / "data"
DANGEROUS = (DATA / "pickles" / "malicious0.pkl").read_bytes()
SAFE = (DATA / "torch" / "zip.pt").read_bytes()
SUSPICIOUS = (DATA / "torch" / "script.pt").read_bytes()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Library(root, catalog, config)
