"""A library of its own for each test, and a demo hub without faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.catalog import Catalog, open_catalog
from modelhub.civitai.client import CivitaiClient
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Civitai, Download, Library, Sidecars
from modelhub.demo.hub import DemoHub
from modelhub.errors import ModelhubError
from modelhub.progress import Event, Notice
from modelhub.services.pull import FailedPull, PulledFile, PullOptions, PullOutcome, pull


@dataclass
class Puller:
    """Pulls into one library as the command line does, and keeps the events."""

    config: Config
    hub: DemoHub
    catalog: Catalog
    key: str | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    events: list[Event] = field(default_factory=list)

    def all(self, *references: str, **options: object) -> list[PullOutcome]:
        with CivitaiClient(self.config, self.key, cancel=self.cancel) as client:
            return pull(
                references,
                PullOptions(**options),  # type: ignore[arg-type]
                config=self.config,
                client=client,
                catalog=self.catalog,
                listener=self.events.append,
                cancel=self.cancel,
            )

    def one(self, reference: str, **options: object) -> PulledFile:
        outcome = self.all(reference, **options)[0]
        if isinstance(outcome, FailedPull):
            raise outcome.error
        return outcome

    def error(self, reference: str, **options: object) -> ModelhubError:
        outcome = self.all(reference, **options)[0]
        assert isinstance(outcome, FailedPull), outcome
        return outcome.error

    def hub_client(self) -> CivitaiClient:
        return CivitaiClient(self.config, self.key)

    def set(self, section: str, **values: object) -> None:
        changed = replace(getattr(self.config, section), **values)
        self.config = replace(self.config, **{section: changed})

    @property
    def root(self) -> Path:
        return Path(self.config.library.root)

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]

    def files(self) -> list[str]:
        """Every file below the root, relative to it."""
        return sorted(
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()
        )


@pytest.fixture
def config(hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    return Config(
        library=Library(root=str(root)),
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        civitai=Civitai(url=hub.url, requests_per_second=100, cache=False, retries=2, timeout=10),
        download=Download(min_free=0, timeout=5, retries=3),
        sidecars=Sidecars(preview=False),
    )


@pytest.fixture
def library(config: Config, hub: DemoHub) -> Iterator[Puller]:
    with open_catalog(config) as catalog:
        yield Puller(config, hub, catalog)
