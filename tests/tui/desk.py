"""The terminal UI on a library of its own and the demo hub, for tests to sit at."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from modelhub.config import Config
from modelhub.demo.hub import DemoHub
from modelhub.services.jobs import Job, JobState
from modelhub.tui.app import ModelhubApp
from modelhub.tui.session import Session

PATIENCE = 60.0
SMALL, LARGE = (80, 24), (160, 50)
W = TypeVar("W", bound=Widget)


@dataclass
class Desk:
    """A library, a hub, and the environment that names both."""

    hub: DemoHub
    folder: Path
    environ: dict[str, str]

    @property
    def root(self) -> Path:
        return self.folder / "models"

    def session(self) -> Session:
        return Session(environ=self.environ)

    @property
    def config(self) -> Config:
        return self.session().config

    @asynccontextmanager
    async def open(self, section: str, size: tuple[int, int] = SMALL) -> AsyncIterator[Sitting]:
        """The program with that screen in front, ended with the block."""
        session = self.session()
        session.remembered.guided = True
        session.remembered.section = section
        app = ModelhubApp(session)
        try:
            async with app.run_test(size=size) as pilot:
                sitting = Sitting(self, app, pilot)
                await sitting.until(lambda: getattr(app.screen, "section", "") == section)
                await pilot.pause()
                yield sitting
        finally:
            session.close()


@dataclass
class Sitting:
    """A run of the program."""

    desk: Desk
    app: ModelhubApp
    pilot: Pilot[None]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def write(self, text: str) -> None:
        await self.press(*["space" if one == " " else one for one in text])

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain:\n{self.text()}"
            await self.pilot.pause(0.02)

    async def sees(self, *words: str) -> None:
        """Wait until all these words are on the screen."""
        await self.until(lambda: all(word in self.text() for word in words))

    def one(self, kind: type[W]) -> W:
        return self.app.screen.query_one(kind)

    def text(self) -> str:
        """What is on the screen, as text."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip()[:width] for strip in strips[:height])

    async def job(self, *states: JobState) -> Job:
        """Wait for the only job to be in one of these states."""
        await self.until(lambda: any(job.state in states for job in self.jobs()))
        return next(job for job in self.jobs() if job.state in states)

    def jobs(self) -> list[Job]:
        return list(self.app.session.jobs.list())


@pytest.fixture
def desk(hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A library without files."""
    return desk_in(tmp_path, hub, monkeypatch)


def desk_in(folder: Path, hub: DemoHub, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A library without files in a folder of its own, which the environment names."""
    own = {
        "MODELHUB_HOME": str(folder / "home"),
        "MODELHUB_LIBRARY_ROOT": str(folder / "models"),
        "MODELHUB_CIVITAI_URL": hub.url,
        "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "100",
        "MODELHUB_CIVITAI_RETRIES": "0",
        "MODELHUB_CIVITAI_CACHE": "false",
        "MODELHUB_DOWNLOAD_MIN_FREE": "0",
        "MODELHUB_DOWNLOAD_CONNECTIONS": "1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    (folder / "models").mkdir()
    for name in [*os.environ]:
        if name.startswith(("MODELHUB_", "CIVITAI_")):
            monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return Desk(hub, folder, dict(os.environ))
