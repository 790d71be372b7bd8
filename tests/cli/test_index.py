from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.services.index.shelf import OLD, lora

from .conftest import Cli


def _put(file: Path, content: bytes) -> Path:
    import os

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(OLD, OLD))
    return file


def test_a_folder_is_indexed_and_listed(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "models"
    _put(root / "a.safetensors", lora(1))
    ended = cli("index", str(root))
    assert ended.code == 0, ended.err
    assert f"{root}: 1 file" in ended.out
    assert "1 new" in ended.out
    assert "1 hashed" in ended.out
    assert "a root from now on" in ended.err
    listed = json.loads(cli("list", "--json").out)
    assert [(row["path"], row["type"], row["state"]) for row in listed] == [
        ("a.safetensors", "lora", "hashed")
    ]


def test_json_has_every_number_and_fault(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "models"
    _put(root / "cut.safetensors", lora(1)[:300])
    ended = cli("index", "--json", "--no-hash", str(root))
    report = json.loads(ended.out)
    assert (report["new"], report["hashed"], report["unhashed"]) == (1, 0, 1)
    assert report["faults"][0]["path"] == str(root / "cut.safetensors")
    assert report["roots"] == [{"path": str(root), "files": 1, "skipped": "", "added": True}]


def test_without_a_root_the_library_is_indexed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "library"
    monkeypatch.setenv("MODELHUB_LIBRARY_ROOT", str(root))
    ended = cli("index")
    assert ended.code == 7
    assert "is not there" in ended.err
    _put(root / "a.safetensors", lora(1))
    assert cli("index").code == 0
    assert cli("list", "--count").out.strip() == "1"


def test_a_root_that_is_not_mounted_is_told_of_and_kept(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "models"
    _put(root / "a.safetensors", lora(1))
    cli("index", str(root))
    root.rename(tmp_path / "unplugged")
    ended = cli("index")
    assert ended.code == 7
    assert "may not be mounted" in ended.err
    assert json.loads(cli("list", "--json").out)[0]["state"] == "hashed"


def test_a_name_that_would_drive_the_terminal_is_shown_harmless(cli: Cli, tmp_path: Path) -> None:
    _put(tmp_path / "m" / "\x1b[31mred\n.safetensors", b"<html>" * 500)
    ended = cli("index", str(tmp_path / "m"))
    assert "\x1b" not in ended.out + ended.err
    assert "\\x1b" in ended.err
