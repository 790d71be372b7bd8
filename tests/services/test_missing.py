from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhub.catalog import (
    ModelRecord,
    RemoteFileRecord,
    VersionRecord,
    open_catalog,
)
from modelhub.services.missing import forget, missing

from .index.shelf import Library, settings

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config, clock=lambda: NOW) as catalog:
        yield Library(root, catalog, config)


def _publish(library: Library, path: str) -> str:
    """Publish the content of a file; its SHA256."""
    row = library.row(path)
    assert row.sha256 is not None
    library.catalog.record_published(
        ModelRecord(id=7, name="Ink", type="LORA", fetched_at=NOW),
        [VersionRecord(id=70, model_id=7, name="v1", fetched_at=NOW)],
        [RemoteFileRecord(id=700, version_id=70, name="ink.safetensors", sha256=row.sha256)],
    )
    return row.sha256


def _lose(library: Library, *paths: str) -> None:
    for path in paths:
        (library.root / path).unlink()
    library.index()


def test_a_missing_file_tells_since_when_and_how_to_have_it_again(library: Library) -> None:
    library.put("ink.safetensors")
    library.put("kept.safetensors")
    library.index()
    sha256 = _publish(library, "ink.safetensors")
    _lose(library, "ink.safetensors")
    (one,) = missing(library.catalog)
    assert one.path == str(library.root / "ink.safetensors")
    assert (one.since, one.published, one.gone_at) == (NOW, "Ink, v1", None)
    assert one.command == f"modelhub pull {sha256}"
    assert one.elsewhere == ()


def test_a_copy_elsewhere_is_named(library: Library) -> None:
    first = library.put("a/ink.safetensors")
    (library.root / "b").mkdir()
    shutil.copy2(first, library.root / "b/ink.safetensors")
    library.index()
    _lose(library, "a/ink.safetensors")
    (one,) = missing(library.catalog)
    assert one.elsewhere == (str(library.root / "b/ink.safetensors"),)


def test_what_civitai_has_no_more_offers_no_command(library: Library) -> None:
    library.put("ink.safetensors")
    library.index()
    _publish(library, "ink.safetensors")
    library.catalog.record_gone(model_id=7)
    _lose(library, "ink.safetensors")
    (one,) = missing(library.catalog)
    assert (one.published, one.gone_at, one.command) == ("Ink, v1", NOW, "")


def test_a_file_that_is_back_is_not_missing(library: Library) -> None:
    file = library.put("ink.safetensors")
    library.index()
    content, time = file.read_bytes(), file.stat().st_mtime_ns
    _lose(library, "ink.safetensors")
    library.put("ink.safetensors", content, mtime_ns=time)
    library.index()
    assert missing(library.catalog) == []
    assert library.catalog.missing_since([library.row("ink.safetensors").id]) == {}


def test_a_query_finds_among_the_missing_only(library: Library) -> None:
    for name in ("one", "two", "here"):
        library.put(f"{name}.safetensors")
    library.index()
    _lose(library, "one.safetensors", "two.safetensors")
    assert [one.name for one in missing(library.catalog, "two")] == ["two.safetensors"]
    assert missing(library.catalog, "here") == []


def test_forgotten_files_leave_what_was_written_about_them(library: Library) -> None:
    file = library.put("ink.safetensors")
    library.index()
    library.catalog.tag("ink", ["loved"])
    content = file.read_bytes()
    _lose(library, "ink.safetensors")
    assert forget(library.catalog, missing(library.catalog)) == 1
    assert library.rows() == []
    library.put("again.safetensors", content)
    library.index()
    assert library.row("again.safetensors").tags == ("loved",)
