"""What a library goes through: kills, several processes, models in parts, moves and losses."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from modelhub.demo.catalogue import LORA
from tests.hostile_files import safetensors, tensor
from tests.services.index.shelf import lora

from .conftest import Program
from .library import listed, put, rest, run, say_of
from .test_library import LORA_FILE


@pytest.fixture
def library(program: Program) -> Program:
    program.variables |= {"MODELHUB_INDEX_SETTLE": "0.2", "MODELHUB_SIDECARS_WRITE": ""}
    return program


def tagged_library(program: Program, number: int) -> None:
    for one in range(number):
        put(program.root, f"{one % 7}/{one}.safetensors", lora(one))
    rest(program.root)


def test_index_and_match_are_killed_at_any_moment_and_lose_nothing(library: Program) -> None:
    number = 300
    tagged_library(library, number)
    stored = library.hub.stored(LORA_FILE)
    shutil.copyfile(stored.path, library.root / "published.safetensors")
    say_of(library, "root", "add", str(library.root))
    say_of(library, "index", str(library.root / "0"))
    say_of(library, "tag", "--yes", "--query", "path:0/", "keep")
    kept = set(listed(library, "tag:keep"))
    assert len(kept) == 43
    seed = random.Random(7)
    for turn in range(8):
        command = ("index", "match")[turn % 2]
        process = library.start(command)
        try:
            process.wait(seed.uniform(0.25, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if turn == 4:
            for path in (library.root / "0").iterdir():
                path.rename(path.with_name(f"moved {path.name}"))
        assert run(library, "doctor", "--offline").code == 0, turn
    report = run(library, "index", "--json").document
    assert report["unhashed"] == 0
    rows = listed(library)
    assert len(rows) == number + 1
    assert {row["state"] for row in rows.values()} == {"hashed"}
    moved = {f"0/moved {Path(name).name}" for name in kept}
    assert set(listed(library, "tag:keep")) == moved
    say_of(library, "match")
    assert listed(library)["published.safetensors"]["model_id"] == LORA
    assert run(library, "doctor", "--offline", "--thorough").code == 0


def test_two_indexers_and_a_pull_at_once_end_well(library: Program) -> None:
    tagged_library(library, 200)
    reference, file = library.publish("pulled.safetensors", 8)
    processes = [library.start(*command) for command in (["index"], ["pull", reference], ["index"])]
    for process in processes:
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
    say_of(library, "index")
    rows = listed(library)
    assert len(rows) == 201
    assert {row["state"] for row in rows.values()} == {"hashed"}
    (pulled,) = (row for row in rows.values() if row["name"] == "pulled.safetensors")
    assert pulled["version_id"] == file.version_id
    assert run(library, "doctor", "--offline").code == 0


# Models of several files.


def put_shards(folder: Path, count: int = 3) -> list[Path]:
    """A LoRA in several safetensors files, with its index."""
    tensors = {f"lora_te_text_model_encoder_layers_{n}_mlp_fc1.alpha": n for n in range(count)}
    names = [f"sharded-{n + 1:05}-of-{count:05}.safetensors" for n in range(count)]
    paths = []
    for name, key in zip(names, tensors, strict=True):
        header = {key: tensor(0, 4, dtype="F32")}
        paths.append(put(folder, name, safetensors(header, 4)))
    weights = dict(zip(tensors, names, strict=True))
    text = json.dumps({"metadata": {"total_size": 4 * count}, "weight_map": weights})
    put(folder, "sharded.safetensors.index.json", text.encode())
    return paths


def put_pipeline(folder: Path) -> None:
    """A folder as diffusers writes it, with two components."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    index["vae"] = ["diffusers", "AutoencoderKL"]
    put(folder, "model_index.json", json.dumps(index).encode())
    for component, name in {"unet": "conv_in.weight", "vae": "decoder.conv_in.weight"}.items():
        header = {name: tensor(0, 72, 1, 4, 3, 3, dtype="F16")}
        path = f"{component}/diffusion_pytorch_model.safetensors"
        put(folder, path, safetensors(header, 72))
        put(folder, f"{component}/config.json", b"{}")


def test_models_of_several_files_are_one_and_move_as_one(library: Program) -> None:
    root = library.root
    shards = put_shards(root / "big")
    put_pipeline(root / "pipe")
    rest(root)
    say_of(library, "index")
    rows = listed(library)
    main, pipeline = "big/sharded-00001-of-00003.safetensors", "pipe/unet"
    (pipe,) = (name for name in rows if name.startswith(pipeline))
    assert set(rows) == {main, pipe}
    assert rows[main]["size"] == sum(path.stat().st_size for path in shards)
    assert [rows[main]["parts"], rows[pipe]["parts"]] == [3, 2]
    shown = say_of(library, "show", str(root / main))
    assert all(path.name in shown for path in shards)
    for name in (main, pipe):
        say_of(library, "tag", str(root / name), "keep")

    for folder in ("big", "pipe"):
        subprocess.run(["mv", str(root / folder), str(root / f"moved {folder}")], check=True)
    report = run(library, "index", "--json").document
    assert (report["moved"], report["missing"], report["new"]) == (5, 0, 0)
    assert set(listed(library, "tag:keep")) == {f"moved {main}", f"moved {pipe}"}
    assert {row["parts"] for row in listed(library).values()} == {2, 3}

    (root / "moved big" / shards[1].name).unlink()
    ended = run(library, "index", "--json")
    rows = listed(library)
    assert ended.code == 0
    assert "sharded-00002-of-00003" in (rows[f"moved {main}"]["fault"] or ""), rows
    assert rows[f"moved {main}"]["tags"] == ["keep"]


# What the user wrote stays on the file.


def test_what_the_user_wrote_survives_all_that_happens_to_a_file(
    library: Program,
) -> None:
    root, shm = library.root, Path("/dev/shm")
    path = put(root, "loras/mine.safetensors", lora(1))
    rest(root)
    say_of(library, "index")
    say_of(library, "tag", "mine", "keep,two words")
    say_of(library, "rate", "mine", "4")
    say_of(library, "note", "mine", "0.7, not more")

    def check(name: str) -> None:
        rows = listed(library, "state:hashed")
        assert set(rows) == {name}, listed(library)
        assert (rows[name]["tags"], rows[name]["rating"]) == (["keep", "two words"], 4)
        assert say_of(library, "note", str(root / name)) == "0.7, not more\n"

    def step(name: str) -> None:
        rest(root)
        say_of(library, "index")
        check(name)

    moved = path.rename(root / "loras/renamed.safetensors")
    step("loras/renamed.safetensors")
    aside = put(root, "new folder/renamed.safetensors", b"")
    moved = moved.rename(aside)
    step("new folder/renamed.safetensors")
    if shm.is_dir():
        with tempfile.TemporaryDirectory(dir=shm) as other:
            subprocess.run(["mv", str(moved), other], check=True)
            say_of(library, "index")
            assert listed(library)["new folder/renamed.safetensors"]["state"] == "missing"
            subprocess.run(
                ["mv", f"{other}/{moved.name}", str(root / "again.safetensors")], check=True
            )
        step("again.safetensors")
        moved = root / "again.safetensors"
    content = moved.read_bytes()
    moved.unlink()
    say_of(library, "index")
    say_of(library, "index")
    put(root, "restored/under another name.safetensors", content)
    step("restored/under another name.safetensors")
