"""A library with a small checkpoint of the true layout, and what converting it says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog import open_catalog
from modelhub.convert.options import ConvertOptions
from modelhub.progress import Event
from modelhub.services.convert import (
    ConvertedFile,
    ConvertOutcome,
    ConvertRequest,
    FailedConversion,
    PlannedConversion,
    convert,
    plan_conversions,
)
from tests.services.index.shelf import Library, settings

from .checkpoints import write_checkpoint

OPTIONS = set(ConvertOptions.__dataclass_fields__)


@dataclass
class Bench:
    """A library to convert in; `told` is what the last run said."""

    library: Library
    told: list[Event] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def root(self) -> Path:
        return self.library.root

    def put_checkpoint(self, name: str = "model.ckpt", **wishes: Any) -> Path:
        path = self.root / name
        write_checkpoint(path, **wishes)
        return path

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))

    @staticmethod
    def request(**wishes: Any) -> ConvertRequest:
        options = {key: wishes.pop(key) for key in list(wishes) if key in OPTIONS}
        return ConvertRequest(options=ConvertOptions(**options), **wishes)

    def outcomes(self, *sources: Path, **wishes: Any) -> list[ConvertOutcome]:
        self.told.clear()
        return convert(
            sources,
            self.request(**wishes),
            config=self.library.config,
            catalog=self.library.catalog,
            listener=self.told.append,
            cancel=self.cancel,
        )

    def converted(self, source: Path, **wishes: Any) -> ConvertedFile:
        [outcome] = self.outcomes(source, **wishes)
        if isinstance(outcome, FailedConversion):
            raise outcome.error
        return outcome

    def planned(self, source: Path, **wishes: Any) -> PlannedConversion:
        [outcome] = plan_conversions(
            [source],
            self.request(**wishes),
            config=self.library.config,
            catalog=self.library.catalog,
            listener=self.told.append,
            cancel=self.cancel,
        )
        if isinstance(outcome, FailedConversion):
            raise outcome.error
        return outcome


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Bench(Library(root, catalog, config))
