"""`modelhub migrate-to`: the library is there, and the line to set is printed without a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.config import Config
from tests.catalog.conftest import postgres
from tests.catalog.postgres_server import PostgresServer
from tests.catalog.shelf import Shelf

from .conftest import Cli

__all__ = ["postgres"]


@pytest.fixture
def library(home: Path) -> None:
    """A file in the catalog."""
    with open_catalog(Config()) as catalog:
        Shelf(catalog).put("lora.safetensors")


@pytest.mark.usefixtures("library")
def test_the_line_to_set_reaches_the_library(
    cli: Cli, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    secret = url.replace("modelhub@", "modelhub:hunter22@")
    ended = cli("migrate-to", secret)
    assert ended.code == 0, ended.err
    assert "hunter22" not in ended.out + ended.err
    assert "local_files" in ended.out
    line = next(one for one in ended.out.splitlines() if one.startswith("database_url = "))
    monkeypatch.setenv("MODELHUB_CATALOG_DATABASE_URL", json.loads(line.partition(" = ")[2]))
    assert "lora" in cli("list").out


@pytest.mark.usefixtures("library")
def test_programs_read_tables_and_digests(cli: Cli, postgres: PostgresServer) -> None:
    ended = cli("migrate-to", "--json", postgres.new_database())
    document = json.loads(ended.out)
    assert document["rows"] == sum(one["rows"] for one in document["tables"])
    assert all(len(one["digest"]) == 32 for one in document["tables"])


@pytest.mark.usefixtures("library")
def test_a_second_time_is_refused_in_a_sentence(cli: Cli, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    assert cli("migrate-to", url).code == 0
    again = cli("migrate-to", url)
    assert again.code == 1
    assert "holds a library already" in again.err
    assert "createdb" in again.err
