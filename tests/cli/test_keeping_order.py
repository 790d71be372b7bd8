"""`organize`, `updates` and `missing` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.demo.catalogue import ANIVERSE, ANIVERSE_NEW, ANIVERSE_OLD, LORA
from modelhub.demo.hub import DemoHub, Fault

from .conftest import Cli


@pytest.fixture
def root(hub: DemoHub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that asks the demo hub."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, value in {
        "LIBRARY_ROOT": str(folder),
        "CIVITAI_URL": hub.url,
        "CIVITAI_REQUESTS_PER_SECOND": "100",
        "CIVITAI_RETRIES": "0",
        "DOWNLOAD_MIN_FREE": "0",
        "SIDECARS_PREVIEW": "false",
        "INDEX_SETTLE": "0",
        "INDEX_PROCESSES": "1",
    }.items():
        monkeypatch.setenv(f"MODELHUB_{name}", value)
    return folder


@pytest.fixture
def astray(root: Path, cli: Cli) -> Path:
    """A library with a pulled LoRA in the wrong folder, and its sidecar."""
    assert cli("pull", str(LORA)).code == 0
    (root / "loras").rename(root / "downloads")
    assert cli("index").code == 0
    return root


def _files(root: Path) -> list[str]:
    return sorted(str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())


def test_organize_prints_the_plan_then_does_it_and_takes_it_back(astray: Path, cli: Cli) -> None:
    before = _files(astray)
    planned = cli("organize")
    assert planned.code == 0
    header, line = planned.out.splitlines()
    assert header.split() == ["FROM", "TO", "SIZE", "FILES", "WHY"]
    assert "downloads/ink-wash-lines.safetensors" in line
    assert "loras/ink-wash-lines.safetensors" in line
    assert "a LoRA, as published" in line
    assert "1 model would move" in planned.err
    assert _files(astray) == before

    done = cli("organize", "--apply", "--prune-empty")
    assert done.code == 0
    assert done.out == (
        "downloads/ink-wash-lines.safetensors -> loras/ink-wash-lines.safetensors\n"
    )
    assert _files(astray) == [one.replace("downloads/", "loras/") for one in before]
    assert not (astray / "downloads").exists()
    assert "1 model moved" in done.err

    history = json.loads(cli("organize", "--history", "--json").out)
    assert history[0]["kind"] == "organized"
    assert "ink-wash-lines" in cli("organize", "--history").out
    back = cli("organize", "--undo", "last", "--json")
    assert back.code == 0
    assert json.loads(back.out)["moved"][0]["undoes"] == history[0]["id"]
    assert _files(astray) == before
    assert cli("organize", "--undo", "last").code == 3


def test_organize_leaves_with_1_when_not_all_could_be_moved_back(astray: Path, cli: Cli) -> None:
    cli("organize", "--apply")
    (astray / "loras/ink-wash-lines.civitai.info").write_text("{}")
    ended = cli("organize", "--undo", "last")
    assert ended.code == 1
    assert "changed since it was moved" in ended.err
    assert "0 models moved back" in ended.err


def test_organize_refuses_what_makes_no_sense(astray: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("organize", "colour:red").code == 2
    assert "is no root" in cli("organize", "--into", str(tmp_path)).err
    assert cli("organize", "type:lora", "--undo", "last").code == 2
    assert cli("organize", "--undo", "12345").code == 3


def test_updates_lists_and_pulls_newer_versions(root: Path, cli: Cli) -> None:
    assert cli("pull", f"{ANIVERSE}@{ANIVERSE_OLD}").code == 0
    listed = cli("updates")
    assert listed.code == 0
    header, line = listed.out.splitlines()
    assert header.split() == ["MODEL", "HERE", "NEWER", "BASE", "PUBLISHED", "SIZE", "REFERENCE"]
    assert line.startswith("AniVerse")
    assert f"{ANIVERSE}@{ANIVERSE_NEW}" in line
    assert "1 newer version of 1 model asked about" in listed.err

    document = json.loads(cli("updates", "--pull", "--json").out)
    assert document["updates"][0]["reference"] == f"{ANIVERSE}@{ANIVERSE_NEW}"
    assert document["pulled"][0]["outcome"] == "done"
    assert (root / "checkpoints/aniverse_v20.safetensors").is_file()
    again = json.loads(cli("updates", "--json").out)
    assert (again["updates"], again["stopped"]) == ([], None)


def test_updates_offline_keeps_what_was_answered_and_leaves_with_8(
    root: Path, cli: Cli, hub: DemoHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELHUB_CIVITAI_CACHE", "false")
    assert cli("pull", f"{ANIVERSE}@{ANIVERSE_OLD}", str(LORA)).code == 0
    hub.faults.add(Fault(kind="server_error", times=None, path=f"models/{LORA}"))
    ended = cli("updates", "--json")
    assert ended.code == 8
    document = json.loads(ended.out)
    assert document["stopped"]["class"] == "ServerFault"
    assert len(document["updates"]) == 1


def test_missing_lists_pulls_and_forgets(root: Path, cli: Cli) -> None:
    assert cli("missing").err.strip() == "nothing is missing"
    assert cli("pull", str(LORA)).code == 0
    file = root / "loras/ink-wash-lines.safetensors"
    content = file.read_bytes()
    file.unlink()
    cli("index")
    listed = cli("missing")
    assert "modelhub pull " in listed.out
    assert "Ink Wash Lines, v1.0" in listed.out

    document = json.loads(cli("missing", "--pull", "--json").out)
    assert document["pulled"][0]["outcome"] == "done"
    assert file.read_bytes() == content
    assert json.loads(cli("missing", "--json").out)["missing"] == []

    file.unlink()
    cli("index")
    refused = cli("missing", "--forget")
    assert "nothing was forgotten" in refused.err
    assert json.loads(cli("missing", "--json", "--forget", "--yes").out)["forgotten"] == 1
    assert json.loads(cli("missing", "--json").out)["missing"] == []


def test_missing_pulls_nothing_that_is_elsewhere(root: Path, cli: Cli, hub: DemoHub) -> None:
    assert cli("pull", str(LORA)).code == 0
    file = root / "loras/ink-wash-lines.safetensors"
    (root / "other").mkdir()
    (root / "other/copy.safetensors").write_bytes(file.read_bytes())
    cli("index")
    file.unlink()
    cli("index")
    assert "is at " in cli("missing").out
    hub.forget_requests()
    assert "nothing to pull" in cli("missing", "--pull").err
    assert hub.requests == []
    assert cli("missing", "--pull", "--forget").code == 2
