"""A library that other tools have built, taken over: adopt, index, match, write, move."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelhub.demo.catalogue import ANIVERSE, LORA, SAKUSHIMIX

from .conftest import Program

LORA_FILE = 911_101


def put(program: Program, file_id: int, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(program.hub.stored(file_id).path, path)
    return path


def mv(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mv", str(source), str(target)], check=True)


def main_file(program: Program, model_id: int) -> int:
    """The id of the first file of a model of the demo."""
    model = program.hub.shelf.model(model_id)
    assert model is not None
    return model.versions[0].files[0].id


@pytest.fixture
def library(program: Program) -> Program:
    """ComfyUI and A1111 side by side, with sidecars of both and of the tools around them."""
    program.variables |= {"MODELHUB_INDEX_SETTLE": "0", "MODELHUB_SIDECARS_WRITE": ""}
    comfy, web_ui = program.folder / "ComfyUI", program.folder / "webui"
    for folder in (comfy / "comfy", comfy / "models/vae", web_ui / "embeddings"):
        folder.mkdir(parents=True)
    (comfy / "folder_paths.py").touch()
    put(program, main_file(program, SAKUSHIMIX), comfy / "models/checkpoints/sakushi.safetensors")
    put(program, LORA_FILE, comfy / "models/loras/style/ink old name.safetensors")
    put(program, main_file(program, ANIVERSE), web_ui / "models/Stable-diffusion/ani.safetensors")
    mine = program.hub.stored(LORA_FILE).path.read_bytes()[:-2] + b"\1\2"
    (web_ui / "models/Lora").mkdir()
    (web_ui / "models/Lora/my training.safetensors").write_bytes(mine)
    (web_ui / "models/Lora/my training.json").write_text(
        json.dumps({"activation text": "me as a drawing", "preferred weight": 0.9, "notes": "v3"})
    )
    (web_ui / "models/Lora/my training.preview.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (comfy / "models/loras/style/ink old name.txt").write_text("for backgrounds")
    (comfy / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {web_ui}\n  checkpoints: models/Stable-diffusion\n"
        "  loras: models/Lora\n"
    )
    return program


def run(program: Program, *arguments: str) -> str:
    ended = program.run(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def listed(program: Program, query: str = "") -> dict[str, dict[str, Any]]:
    rows = json.loads(run(program, "list", "--json", "--limit", "0", *query.split()))
    return {Path(row["file"]).name: row for row in rows}


def test_a_library_of_other_tools_is_adopted_matched_tagged_and_moved(library: Program) -> None:
    comfy, web_ui = library.folder / "ComfyUI", library.folder / "webui"
    run(library, "adopt", str(comfy))
    assert set(listed(library)) == {
        "sakushi.safetensors",
        "ink old name.safetensors",
        "ani.safetensors",
        "my training.safetensors",
    }
    ended = library.run("match")
    assert "asked about 4 files: 3 found (3 newly known), 1 not found" in ended.stderr
    files = listed(library)
    assert {name: row["type"] for name, row in files.items()} == {
        "sakushi.safetensors": "checkpoint",
        "ink old name.safetensors": "lora",
        "ani.safetensors": "checkpoint",
        "my training.safetensors": "lora",
    }
    assert files["sakushi.safetensors"]["model_id"] == SAKUSHIMIX
    assert files["ani.safetensors"]["model_id"] == ANIVERSE
    assert files["ink old name.safetensors"]["model_id"] == LORA

    run(library, "tag", "ink", "paper,mine")
    run(library, "rate", "ani", "5")
    run(library, "note", "sakushi", "CFG 6")
    run(library, "tag", "my training", "portrait")

    # Renamed, moved within a root, from one tool to the other, and with its folder.
    mv(
        comfy / "models/loras/style/ink old name.safetensors",
        comfy / "models/loras/ink.safetensors",
    )
    mv(
        web_ui / "models/Stable-diffusion/ani.safetensors",
        comfy / "models/checkpoints/ani.safetensors",
    )
    mv(
        comfy / "models/checkpoints/sakushi.safetensors",
        comfy / "models/checkpoints/sd1/s.safetensors",
    )
    mv(web_ui / "models/Lora", web_ui / "models/LyCORIS")
    run(library, "index")

    files = listed(library)
    assert {name: row["state"] for name, row in files.items()} == dict.fromkeys(
        ("ink.safetensors", "ani.safetensors", "s.safetensors", "my training.safetensors"), "hashed"
    )
    assert files["ink.safetensors"]["tags"] == ["mine", "paper"]
    assert files["ani.safetensors"]["rating"] == 5
    assert files["my training.safetensors"]["tags"] == ["portrait"]
    assert files["my training.safetensors"]["file"].startswith(str(web_ui / "models/LyCORIS"))
    assert run(library, "note", "s.safetensors") == "CFG 6\n"
    assert run(library, "note", "ink.safetensors") == "for backgrounds\n"
    shown = json.loads(run(library, "show", "my training.safetensors", "--json"))
    assert shown["note"] == "v3"
    assert shown["own_trigger_words"] == ["me as a drawing"]
    assert shown["user_values"] == {"preferred_weight": "0.9"}


def test_what_the_user_wrote_comes_along_to_another_machine(library: Program) -> None:
    comfy = library.folder / "ComfyUI"
    run(library, "adopt", str(comfy))
    run(library, "tag", "ink", "paper")
    words = run(library, "export")
    assert len(words.splitlines()) == 3  # with the heading

    there = Program(library.hub, library.folder / "there", dict(library.variables))
    there.folder.mkdir()
    put(library, LORA_FILE, there.root / "loras/under another name.safetensors")
    imported = subprocess.run(
        [sys.executable, "-m", "modelhub", "import", "-"],
        env=there.environ,
        input=words,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 files read, 2 changed, 2 of them not here" in imported.stdout
    run(there, "adopt", str(there.root))
    (row,) = listed(there, "tag:paper").values()
    assert row["name"] == "under another name.safetensors"
    assert run(there, "note", "under another") == "for backgrounds\n"


def test_an_adopted_folder_is_left_as_it_was(library: Program) -> None:
    places = [library.folder / "ComfyUI", library.folder / "webui"]
    before = {path: path.stat().st_mtime_ns for place in places for path in place.rglob("*")}
    run(library, "adopt", *map(str, places))
    run(library, "match")
    after = {path: path.stat().st_mtime_ns for place in places for path in place.rglob("*")}
    assert after == before
