"""A folder of files that a catalog knows, and the demo hub to ask about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.catalog import BlobRecord, Catalog, FileDetails, LocalFileRecord, open_catalog
from modelhub.civitai.client import CivitaiClient
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Civitai, Match
from modelhub.demo.catalogue import LORA, LORA_VERSION
from modelhub.demo.hub import DemoHub
from modelhub.formats.hashes import hash_file
from modelhub.progress import Event
from modelhub.services.match import MatchReport, SidecarReport, import_sidecars, match

LORA_FILE = 911_101


@dataclass
class Desk:
    """Puts files into a folder and the catalog, as an index would have, and matches them."""

    folder: Path
    hub: DemoHub
    catalog: Catalog
    config: Config
    events: list[Event] = field(default_factory=list)

    def put(self, name: str, content: bytes | Path | None = None) -> str:
        """A hashed file, by default the demo's LoRA; its SHA256."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content or self.hub.stored(LORA_FILE).path, path)
        hashes = hash_file(path)
        self.catalog.record_local_file(
            LocalFileRecord.of(self.folder, path, stat=path.stat()),
            blob=BlobRecord.of(None, hashes, path.stat().st_size),
        )
        return hashes.sha256

    def beside(self, name: str, content: Any) -> None:
        """A sidecar, as JSON or as text."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_text(text, "utf-8")

    def match(self, query: str = "", **options: Any) -> MatchReport:
        with CivitaiClient(self.config, None, cancel=options.get("cancel")) as client:
            return match(
                catalog=self.catalog,
                client=client,
                config=self.config,
                query=query,
                listener=self.events.append,
                **options,
            )

    def sidecars(self) -> SidecarReport:
        return import_sidecars(self.catalog.list_files(limit=None), catalog=self.catalog)

    def show(self, name: str) -> FileDetails:
        row = self.catalog.find_local_by_path(self.folder / name)
        assert row is not None
        return self.catalog.show(row.id)

    def asked(self) -> list[str]:
        """The paths of the requests, in order."""
        return [seen.path for seen in self.hub.requests]

    def set(self, **values: Any) -> None:
        self.config = replace(self.config, match=Match(**values))

    def answer(self) -> dict[str, Any]:
        """The answer about the demo's LoRA, as tools keep it in a `.civitai.info`."""
        with CivitaiClient(self.config, None) as client:
            found: dict[str, Any] = json.loads(client.version(LORA_VERSION).raw)
            model: dict[str, Any] = json.loads(client.model(LORA).raw)
        self.hub.forget_requests()
        told = {key: model[key] for key in ("description", "tags")}
        return found | {"model": found["model"] | told, "creator": model["creator"]}


@pytest.fixture
def desk(hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    config = Config(
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        civitai=Civitai(url=hub.url, requests_per_second=100, cache=False, retries=1, timeout=10),
    )
    folder = tmp_path / "models"
    folder.mkdir()
    with open_catalog(config) as catalog:
        yield Desk(folder, hub, catalog, config)
