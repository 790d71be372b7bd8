from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modelhub.demo.hub import DemoHub, Fault

from .conftest import Cli

LORA_FILE = 911_101


@pytest.fixture
def files(hub: DemoHub, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a published LoRA under another name and a file of nobody's, adopted."""
    monkeypatch.setenv("MODELHUB_CIVITAI_URL", hub.url)
    monkeypatch.setenv("MODELHUB_CIVITAI_REQUESTS_PER_SECOND", "100")
    monkeypatch.setenv("MODELHUB_CIVITAI_RETRIES", "0")
    monkeypatch.setenv("MODELHUB_INDEX_SETTLE", "0")
    monkeypatch.setenv("MODELHUB_INDEX_PROCESSES", "1")
    folder = tmp_path / "loras"
    folder.mkdir()
    shutil.copyfile(hub.stored(LORA_FILE).path, folder / "renamed.safetensors")
    mine = hub.stored(LORA_FILE).path.read_bytes()[:-1] + b"\1"
    (folder / "mine.safetensors").write_bytes(mine)
    assert cli("adopt", str(folder)).code == 0
    hub.forget_requests()
    return folder


def test_a_match_lists_what_is_newly_known_and_says_what_was_not_found(
    files: Path, cli: Cli
) -> None:
    ended = cli("match")
    assert ended.code == 0
    header, line = ended.out.splitlines()
    assert header.split() == ["FILE", "TYPE", "MODEL", "VERSION"]
    assert line.split("  ")[0] == "renamed.safetensors"
    assert "Ink Wash Lines" in line
    assert "asked about 2 files: 1 found (1 newly known), 1 not found" in ended.err
    assert "Ink Wash Lines" in cli("show", "renamed").out

    again = cli("match")
    assert (again.out, "nothing to ask" in again.err) == ("", True)
    forced = cli("match", "--again")
    assert (forced.out, "1 found (0 newly known)" in forced.err) == ("", True)


def test_a_match_is_one_json_document(files: Path, cli: Cli) -> None:
    document = json.loads(cli("match", "--json").out)
    assert {key: document[key] for key in ("asked", "found", "not_found", "new", "stopped")} == {
        "asked": 2,
        "found": 1,
        "not_found": 1,
        "new": 1,
        "stopped": None,
    }
    assert document["described"][0]["paths"] == [str(files / "renamed.safetensors")]


def test_a_query_with_a_mistake_asks_nothing(files: Path, cli: Cli, hub: DemoHub) -> None:
    assert cli("match", "colour:red").code == 2
    assert hub.requests == []


def test_a_server_that_is_down_ends_with_its_exit_code_after_the_report(
    files: Path, cli: Cli, hub: DemoHub
) -> None:
    hub.faults.add(Fault(kind="server_error", times=None))
    ended = cli("match", "--json")
    assert ended.code == 8
    assert json.loads(ended.out)["stopped"]["class"] == "ServerFault"
    assert "modelhub: error:" in ended.err
