from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli


@pytest.fixture
def web_ui(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELHUB_INDEX_SETTLE", "0")
    monkeypatch.setenv("MODELHUB_INDEX_PROCESSES", "1")
    folder = tmp_path / "webui"
    for name in ("models/Stable-diffusion", "models/Lora", "embeddings"):
        (folder / name).mkdir(parents=True)
    (folder / "models/Lora/broken.safetensors").write_bytes(b"\xff" * 100)
    (folder / "models/Lora/broken.json").write_text("{")
    return folder


def test_a_dry_run_names_the_tool_and_its_folders(web_ui: Path, cli: Cli) -> None:
    ended = cli("adopt", "--dry-run", str(web_ui))
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"{web_ui}: Stable Diffusion web UI",
        f"  {web_ui}/models: would be added (Stable Diffusion web UI)",
        f"  {web_ui}/embeddings: would be added (Stable Diffusion web UI)",
    ]
    assert cli("list", "--count").out == "0\n"


def test_adopting_says_what_was_added_and_what_is_damaged(web_ui: Path, cli: Cli) -> None:
    ended = cli("adopt", str(web_ui))
    assert ended.code == 0
    assert f"  {web_ui}/models: added" in ended.out
    assert "broken.safetensors" in ended.err
    assert "broken.json is not readable as JSON" in ended.err
    assert "1 new file, 0 known before, 1 damaged" in ended.err
    assert "is a root already" in cli("adopt", str(web_ui)).out


def test_adopting_is_one_json_document(web_ui: Path, cli: Cli) -> None:
    document = json.loads(cli("adopt", str(web_ui), "--json", "--no-hash").out)
    assert document["detected"][0]["tool"] == "a1111"
    assert [one["standing"] for one in document["folders"]] == ["new", "new"]
    assert document["index"]["new"] == 1


@pytest.mark.parametrize(("name", "code"), [("typo", 7), ("webui/models/Lora/broken.json", 7)])
def test_what_cannot_be_adopted_is_an_error_with_a_hint(
    web_ui: Path, cli: Cli, name: str, code: int
) -> None:
    ended = cli("adopt", str(web_ui.parent / name))
    assert (ended.code, ended.out) == (code, "")
    assert "hint:" in ended.err


def test_a_damaged_list_of_folders_is_an_error_with_its_line(web_ui: Path, cli: Cli) -> None:
    file = web_ui / "extra_model_paths.yaml"
    file.write_text("a111:\n  base_path: [\n")
    ended = cli("adopt", str(file))
    assert ended.code == 2
    assert "line 3" in ended.err
