from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.services.index.shelf import lora

from .conftest import Cli


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(lora(1))
    return folder


def test_roots_are_added_listed_and_removed(cli: Cli, root: Path) -> None:
    assert cli("root", "add", str(root), "--layout", "comfyui", "--no-watch").code == 0
    listed = json.loads(cli("root", "list", "--json").out)
    assert [(one["path"], one["layout"], one["watched"], one["files"]) for one in listed] == [
        (str(root), "comfyui", False, 0)
    ]
    cli("index", str(root))
    assert "a.safetensors" in cli("list").out
    ended = cli("root", "remove", str(root), "--yes")
    assert ended.code == 0
    assert "1 file left the catalog, none left the disk" in ended.out
    assert (root / "a.safetensors").exists()
    assert json.loads(cli("root", "list", "--json").out) == []


def test_removing_a_root_keeps_what_the_user_wrote(cli: Cli, root: Path) -> None:
    cli("index", str(root))
    cli("tag", "a.safetensors", "keep")
    cli("root", "remove", str(root), "--yes")
    cli("index", str(root))
    assert json.loads(cli("list", "--json").out)[0]["tags"] == ["keep"]


def test_removing_files_from_the_catalog_is_asked_about(cli: Cli, root: Path) -> None:
    cli("index", str(root))
    ended = cli("root", "remove", str(root))
    assert ended.code == 2
    assert "--yes" in ended.err
    assert "a.safetensors" in cli("list").out


def test_what_cannot_be_a_root_is_refused(cli: Cli, root: Path, tmp_path: Path) -> None:
    assert cli("root", "add", str(tmp_path / "nowhere")).code == 7
    ended = cli("root", "add", str(root / "a.safetensors"))
    assert ended.code == 7
    assert "is no folder" in ended.err
    ended = cli("root", "remove", str(root))
    assert ended.code == 3
    assert "is no root" in ended.err
