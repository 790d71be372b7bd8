from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub

from .conftest import Cli

LORA_FILE = 911_101


@pytest.fixture
def tagged(hub: DemoHub, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of one LoRA with a tag and a note."""
    monkeypatch.setenv("MODELHUB_INDEX_SETTLE", "0")
    monkeypatch.setenv("MODELHUB_INDEX_PROCESSES", "1")
    folder = tmp_path / "loras"
    folder.mkdir()
    shutil.copyfile(hub.stored(LORA_FILE).path, folder / "ink.safetensors")
    assert cli("adopt", str(folder)).code == 0
    assert cli("tag", "ink", "style").code == 0
    assert cli("note", "ink", "30 steps").code == 0
    return folder


def test_an_export_to_standard_output_is_json_lines(tagged: Path, cli: Cli) -> None:
    ended = cli("export")
    heading, line = map(json.loads, ended.out.splitlines())
    assert heading["modelhub"] == "user words"
    assert (line["tags"], line["note"]) == (["style"], "30 steps")
    assert ended.err == "what you wrote on 1 file exported\n"


def test_an_export_overwrites_no_file(tagged: Path, cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "words.jsonl"
    assert cli("export", str(target)).code == 0
    assert len(target.read_text().splitlines()) == 2
    target.write_text("mine")
    ended = cli("export", str(target))
    assert (ended.code, target.read_text()) == (7, "mine")
    assert "is there already" in ended.err
    assert cli("export", str(tmp_path / "no/such/folder.jsonl")).code == 7
    assert not list(tmp_path.glob(".*.tmp"))
