from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.catalog import open_catalog
from modelhub.services.index import Happened, Happening
from modelhub.services.watch import Remark, Told, Watching, watch
from tests.services.index.shelf import Library, settings

PATIENCE = 20.0


@dataclass
class Watched:
    """A library with a watch over it, in a thread of this process."""

    library: Library
    told: list[Told] = field(default_factory=list)

    @contextmanager
    def running(self, *roots: Path, **options: object) -> Iterator[None]:
        """The watch, from when it sees everything that happens until it has ended."""
        cancel = threading.Event()
        failed: list[BaseException] = []
        config = self.library.config
        config = replace(config, watch=replace(config.watch, **options))

        def run() -> None:
            try:
                watch(
                    roots or [self.library.root],
                    config=config,
                    catalog=self.library.catalog,
                    notify=self.told.append,
                    cancel=cancel,
                )
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        before = len(self.kinds())
        thread.start()
        try:
            self.until(lambda: failed or len(self.kinds()) > before)
            yield
        finally:
            cancel.set()
            thread.join(PATIENCE)
        assert not thread.is_alive(), "the watch did not end"
        assert not failed, failed

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"not in time; told: {self.told}"
            time.sleep(0.01)

    def until_told(self, what: Happened, path: Path) -> Happening:
        """Wait until it is told that this happened."""
        self.until(lambda: self.about(what, path))
        return self.about(what, path)[0]

    def about(self, what: Happened, path: Path) -> list[Happening]:
        return [
            told
            for told in list(self.told)
            if isinstance(told, Happening) and (told.what, told.path) == (what, path)
        ]

    def kinds(self) -> list[Watching]:
        return [told for told in list(self.told) if isinstance(told, Watching)]

    def remarks(self) -> list[Remark]:
        return [told for told in list(self.told) if isinstance(told, Remark)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Watched(Library(root, catalog, config))
