"""Several hosts on one machine: daemons with homes of their own, one PostgreSQL, one folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile
from modelhub.services.jobs.place import JobsPlace
from tests.catalog.conftest import postgres
from tests.catalog.postgres_server import PostgresServer
from tests.daemon.conftest import Library, wait_for

__all__ = ["postgres"]

BRIEF = 3.0
"""Seconds: a lease for tests in which one is to run out. A busy machine loses it where that was not
meant; what such a test says of hosts and attempts has to hold then, too."""
LONG = 600.0


class Host(Library):
    """A host; the tests queue jobs as from another one, which has no daemon."""

    @property
    def place(self) -> JobsPlace:
        return replace(super().place, folder=self.folder / "home" / "data")

    def publish(self, name: str, data: bytes | int = b"") -> tuple[str, PublishedFile]:
        """Publish a file, of a content of its own unless told."""
        return super().publish(name, data or name.encode() * 1000)

    def wait_for(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a daemon that was started answers."""
        wait_for(lambda: self._answers(process), "the daemon answers")


class Team:
    """Hosts that share a library."""

    def __init__(self, folder: Path, hub: DemoHub, url: str) -> None:
        self.folder, self.hub, self.url = folder, hub, url
        self.shared = folder / "nas"
        self.shared.mkdir()
        self.hosts: list[Host] = []
        self.lease = LONG

    def host(self, name: str, **variables: str) -> Host:
        """Another host, whose daemon does not run yet."""
        home = self.folder / f"{name}-{len(self.hosts)}"
        home.mkdir()
        own = {
            "MODELHUB_CATALOG_DATABASE_URL": self.url,
            "MODELHUB_LIBRARY_ROOT": str(self.shared),
            "MODELHUB_TEAM_HOST": name,
            "MODELHUB_TEAM_LEASE": str(self.lease),
        }
        made = Host(home, self.hub, own | variables)
        self.hosts.append(made)
        return made

    @property
    def files(self) -> list[Path]:
        """All model files, those under way included."""
        return sorted(
            path
            for path in self.shared.rglob("*")
            if path.is_file() and not path.name.endswith((".lock", ".civitai.info"))
        )

    def close(self) -> None:
        for host in self.hosts:
            host.close()


@pytest.fixture
def team(
    tmp_path: Path, hub: DemoHub, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """A team without hosts yet."""
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "elsewhere"))
    made = Team(tmp_path, hub, postgres.new_database())
    try:
        yield made
    finally:
        made.close()
