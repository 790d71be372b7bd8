"""A catalog on SQLite and, where its server's binaries are found, on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, open_catalog
from modelhub.config.settings import CatalogSettings, Config

from .postgres_server import PostgresServer, binaries, empty
from .shelf import Shelf


def _config(url: str) -> Config:
    return Config(catalog=CatalogSettings(database_url=url, busy_timeout=5.0))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of this test process."""
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed (initdb was not found)")
    with PostgresServer(folder) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """Settings of an empty place for a catalog."""
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path / 'catalog.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    return _config(url)


@pytest.fixture
def sqlite_config(tmp_path: Path) -> Config:
    return _config(f"sqlite:///{tmp_path / 'catalog.db'}")


@pytest.fixture
def clock() -> Callable[[], datetime]:
    """A minute passes between any two looks at it."""
    minutes = itertools.count()
    start = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
    return lambda: start + timedelta(minutes=next(minutes))


@pytest.fixture(scope="session")
def made_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty catalog, to be copied: faster than to be made."""
    path = tmp_path_factory.mktemp("made") / "catalog.db"
    open_catalog(_config(f"sqlite:///{path}")).close()
    return path


@pytest.fixture(scope="session")
def made_postgres(postgres: PostgresServer) -> str:
    """The URL of a catalog, to be emptied: faster than to be made."""
    url = postgres.new_database()
    open_catalog(_config(url)).close()
    return url


@pytest.fixture
def catalog(
    backend: str, tmp_path: Path, clock: Callable[[], datetime], request: pytest.FixtureRequest
) -> Iterator[Catalog]:
    """An empty catalog."""
    if backend == "sqlite":
        path = tmp_path / "catalog.db"
        shutil.copy(request.getfixturevalue("made_sqlite"), path)
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("made_postgres")
        empty(url)
    with open_catalog(_config(url), clock=clock) as opened:
        yield opened


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    """Makes files of the catalog."""
    return Shelf(catalog)


@pytest.fixture
def root(catalog: Catalog) -> int:
    """The number of the root at ``/library``."""
    return catalog.add_root(Path("/library"))
