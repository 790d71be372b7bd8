from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.services.index.shelf import OLD, lora

from .conftest import Cli


@pytest.fixture
def root(cli: Cli, tmp_path: Path) -> Path:
    """A root with two indexed LoRAs."""
    root = tmp_path / "models"
    root.mkdir()
    for name, seed in (("a", 1), ("b", 2)):
        file = root / f"{name}.safetensors"
        file.write_bytes(lora(seed))
        os.utime(file, ns=(OLD, OLD))
    assert cli("index", str(root)).code == 0
    return root


def _rot(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[5000] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(OLD, OLD))


def test_all_is_well(cli: Cli, root: Path) -> None:
    ended = cli("verify")
    assert ended.code == 0, ended.err
    assert "2 of 2 files as they were" in ended.out


def test_bit_rot_ends_with_code_5_and_says_which_file(cli: Cli, root: Path) -> None:
    _rot(root / "b.safetensors")
    ended = cli("verify")
    assert ended.code == 5
    assert "bit rot" in ended.out
    assert "b.safetensors" in ended.out
    assert "1 of 2 files as they were" in ended.out
    assert "b.safetensors" in cli("list", "fault:yes").out


def test_json_has_what_was_found(cli: Cli, root: Path) -> None:
    _rot(root / "b.safetensors")
    (root / "a.safetensors").unlink()
    ended = cli("verify", "--json")
    assert ended.code == 5
    report = json.loads(ended.out)
    assert (report["checked"], report["ok"], report["damaged"]) == (2, 0, 1)
    found = {Path(one["path"]).name: one["verdict"] for one in report["findings"]}
    assert found == {"a.safetensors": "missing", "b.safetensors": "bit rot"}


def test_a_missing_file_ends_with_code_3(cli: Cli, root: Path) -> None:
    (root / "a.safetensors").unlink()
    assert cli("verify").code == 3


def test_due_reads_the_weeks_share_of_the_settings(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELHUB_VERIFY_SHARE", "50")
    assert json.loads(cli("verify", "--due", "--json").out)["checked"] == 1
    assert "nothing to verify" in cli("verify", "--due").out


def test_a_query_and_a_share_narrow_it_down(cli: Cli, root: Path) -> None:
    assert json.loads(cli("verify", "name:a", "--json").out)["checked"] == 1
    assert json.loads(cli("verify", "--share", "50%", "--json").out)["checked"] == 1
    assert json.loads(cli("verify", "--older-than", "1", "--json").out)["checked"] == 0
    for share in ("0", "101%", "much"):
        assert cli("verify", "--share", share).code == 2
