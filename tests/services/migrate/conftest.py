"""A library in SQLite with something in every table, and a server to move it to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag

import pytest
from msgspec.structs import replace

from modelhub.catalog import Found, open_catalog
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings
from modelhub.progress import Listener, silent
from modelhub.services.jobs import JobKind, JobRequest
from modelhub.services.jobs.durable import open_queue
from modelhub.services.migrate import Migration, migrate_to
from tests.catalog.conftest import postgres
from tests.catalog.scans import scan, scanned
from tests.catalog.shelf import Shelf

__all__ = ["postgres"]


def moved(
    config: Config, url: str, listener: Listener = silent, cancel: Flag | None = None
) -> Migration:
    """Move a library."""
    return migrate_to(url, config=config, listener=listener, cancel=cancel or Flag())


def at(config: Config, url: str) -> Config:
    """The same settings, with the catalog elsewhere."""
    return replace(config, catalog=replace(config.catalog, database_url=url))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings of a place for a library."""
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    return Config(catalog=CatalogSettings(database_url=url, busy_timeout=5.0))


@pytest.fixture
def library(config: Config) -> Config:
    """A library with files, words of its user, hostile names, and jobs."""
    with open_catalog(config, clock=lambda: datetime(2024, 6, 15, 12, 30, tzinfo=UTC)) as catalog:
        shelf = Shelf(catalog)
        root = catalog.add_root(Path("/library"))
        first = shelf.put("loras/Ünïcode \U0001f600.safetensors", "a", kind="lora")
        shelf.put("bad \udcff bytes.ckpt", "b", size=2**40)
        gone = shelf.put("gone.pt", "c")
        shelf.publish(1, "Dreamer\0 \ud800x", content="a", words=("magic word", "zweites"))
        catalog.tag([first], ["hand drawn"])
        catalog.rate([first], 4)
        catalog.note([first], "line\none\ttab \\N and \\. too")
        catalog.set_trigger_words([first], ["my own"])
        scan(catalog, root, scanned("new.gguf", found=Found(format="gguf", header="{}")))
        catalog.forget([gone])
    with open_queue(config) as queue:
        waits = queue.enqueue(
            JobRequest(
                kind=JobKind.DOWNLOAD, arguments={"reference": "78056"}, title="ein Größeres"
            )
        )
        queue.enqueue(JobRequest(kind=JobKind.VERIFY, arguments={}, title="two", after=[waits.id]))
        other = queue.enqueue(JobRequest(kind=JobKind.MATCH, arguments={}, title="three"))
        queue.cancel(other.id)
    return config
