"""`modelhub trash`: listed, brought back, deleted for good after a yes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.cli.run import run
from modelhub.config.load import load_config
from modelhub.services.trash import trash
from tests.services.index.shelf import lora


@pytest.fixture
def thrown(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A file that is in the trash."""
    file = tmp_path / "models" / "loras" / "ink.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(lora(1))
    assert run(["root", "add", str(tmp_path / "models")]) == 0
    assert run(["-q", "index"]) == 0
    with open_catalog(load_config().config) as catalog:
        assert trash(catalog, catalog.find_ids("")).failed == []
    capsys.readouterr()
    return file


def test_it_is_listed_and_brought_back(thrown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trash", "list", "--json"]) == 0
    [batch] = json.loads(capsys.readouterr().out)
    assert [Path(path).name for path in batch["files"]] == ["ink.safetensors"]
    assert run(["trash", "restore", batch["name"]]) == 0
    assert thrown.exists()
    assert run(["trash", "restore"]) == 3
    assert "the trash is empty" in capsys.readouterr().err


def test_it_is_deleted_after_a_yes_only(thrown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trash", "empty"]) == 2
    assert run(["trash", "empty", "--yes"]) == 0
    assert "1 file deleted, 17.7 KiB freed" in capsys.readouterr().out
    assert run(["trash", "list"]) == 0
    assert "the trash is empty" in capsys.readouterr().err
