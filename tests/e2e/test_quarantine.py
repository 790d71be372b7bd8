"""A dangerous checkpoint is published: what becomes of it from the pull to its release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.weights import adapters, files, sd1
from modelhub.formats.scan import Verdict
from tests.e2e.conftest import Program
from tests.pickle_tricks import TRICKS, Aim

UNSAFE = 6


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def checkpoint(folder: Path, *, before: bytes = b"") -> bytes:
    path = folder / "made.ckpt"
    files.write_torch_zip(path, adapters.embedding(sd1.TRUE, 4), 7, before=before)
    return path.read_bytes()


def published(program: Program, name: str, content: bytes) -> str:
    file = program.hub.publish_bytes(name, content)
    return f"https://civitai.com/model-versions/{file.version_id}"


def listed(program: Program, query: str) -> list[dict[str, Any]]:
    ended = program.run("list", query, "--json")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_a_dangerous_file_is_pulled_quarantined_listed_and_released(
    program: Program, canary: Path, tmp_path: Path
) -> None:
    evil = checkpoint(tmp_path, before=files.system_call(f"touch '{canary}'"))
    reference = published(program, "too_good.ckpt", evil)
    pulled = program.run("pull", reference)
    assert pulled.returncode == UNSAFE, pulled.stderr
    [held] = program.files()
    assert held.name == "too_good.ckpt.quarantined"
    assert held.is_relative_to(program.root / ".modelhub" / "quarantine")
    assert held.read_bytes() == evil
    assert str(held) in pulled.stderr
    assert "posix.system" in pulled.stderr
    [row] = listed(program, "state:quarantined")
    assert Path(row["path"]).name == held.name

    downloads = len(program.hub.requests)
    assert any("download" in str(one) for one in program.hub.requests)
    again = program.run("pull", reference)
    assert again.returncode == UNSAFE
    assert "is in quarantine" in again.stderr
    served = [one for one in program.hub.requests[downloads:] if "download" in str(one)]
    assert served == [], "it is not downloaded twice"
    assert program.run("index").returncode == 0
    assert [Path(one["path"]).name for one in listed(program, "")] == [held.name]

    released = program.run("scan", "--release", str(held))
    assert released.returncode == 0, released.stderr
    [free] = program.files()
    assert free.name == "too_good.ckpt"
    assert ".modelhub" not in free.parts
    assert listed(program, "state:quarantined") == []
    [row] = listed(program, "verdict:dangerous")
    assert Path(row["path"]).name == free.name
    refused = program.run("convert", str(free))
    assert refused.returncode == UNSAFE, "its verdict stays"
    assert program.files() == [free]
    assert not canary.exists()


def test_a_suffix_that_lies_and_names_that_are_all_harmless_do_not_help(
    program: Program, canary: Path
) -> None:
    tricks = {one.name: one.make(Aim(str(canary))) for one in TRICKS}
    contents = {
        "looks_safe.safetensors": tricks["torch zip named safetensors"],
        "gadget.ckpt": tricks["append that is a loader"],
        "numbers.pt": tricks["whole number in base 16"],
    }
    for name, content in contents.items():
        ended = program.run("pull", published(program, name, content))
        assert ended.returncode == UNSAFE, (name, ended.stderr)
    assert sorted(path.name for path in program.files()) == [
        f"{name}.quarantined" for name in sorted(contents)
    ]
    verdicts = {one["verdict"] for one in listed(program, "state:quarantined")}
    assert verdicts == {Verdict.DANGEROUS.value}
    assert not canary.exists()


def test_a_harmless_pickle_gets_its_place_and_a_dangerous_one_only_when_told_so(
    program: Program, canary: Path, tmp_path: Path
) -> None:
    harmless = published(program, "honest.ckpt", checkpoint(tmp_path))
    assert program.run("pull", harmless).returncode == 0
    evil = checkpoint(tmp_path, before=files.system_call(f"touch '{canary}'"))
    allowed = program.run("pull", published(program, "wanted.ckpt", evil), "--allow-unsafe")
    assert allowed.returncode == 0, allowed.stderr
    assert [path.name for path in program.files()] == ["honest.ckpt", "wanted.ckpt"]
    assert {Path(one["path"]).name: one["verdict"] for one in listed(program, "")} == {
        "honest.ckpt": "safe",
        "wanted.ckpt": "dangerous",
    }
    assert not canary.exists()
