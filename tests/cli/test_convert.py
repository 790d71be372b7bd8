from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.demo.weights.adapters import lora
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.sd1 import unet
from modelhub.demo.weights.tables import under
from modelhub.formats.reading import read_header
from tests.hostile_files import safetensors, tensor
from tests.services.convert.checkpoints import SMALL, write_checkpoint

from .conftest import Cli

KNOWN = replace(SMALL, text=768, text_layers=0)
"""With the width of a text encoder by which Stable Diffusion 1 is known."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    write_checkpoint(root / "model.ckpt")
    return root


@pytest.fixture
def indexed(cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELHUB_INDEX_SETTLE", "0")
    assert cli("index", str(root)).code == 0
    return root


def test_the_result_is_on_standard_output_and_the_rest_beside(cli: Cli, root: Path) -> None:
    ended = cli("convert", str(root / "model.ckpt"), "--dtype", "fp16", "--prune")
    assert ended.code == 0, ended.err
    result = root / "model-pruned-fp16.safetensors"
    assert ended.out == f"{result}\n"
    assert "verified against the source" in ended.err
    again = cli("convert", str(root / "model.ckpt"), "--dtype", "fp16", "--prune")
    assert again.code == 0
    assert "already converted" in again.err


def test_a_plan_says_what_is_dropped_cast_and_how_large_it_gets(cli: Cli, root: Path) -> None:
    ended = cli("convert", str(root / "model.ckpt"), "--dtype", "fp16", "--prune", "--plan")
    assert ended.code == 0, ended.err
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    target = root / "model-pruned-fp16.safetensors"
    assert lines[0] == f"{root / 'model.ckpt'} -> {target}"
    assert any(line.startswith("drop EMA twin 686 ") for line in lines), ended.out
    assert any(line.startswith("cast F32 -> F16 ") for line in lines), ended.out
    assert "Scan: safe" in lines
    assert not target.exists()


def test_a_plan_as_json_names_every_tensor(cli: Cli, root: Path) -> None:
    ended = cli("convert", str(root / "model.ckpt"), "--no-ema", "--plan", "--json")
    [plan] = json.loads(ended.out)
    twins = [name for name in read_header(root / "model.ckpt").tensors if "model_ema" in name]
    assert sorted(plan["dropped"]["EMA twin"]) == sorted(twins)
    assert plan["summary"]["dropped"]["EMA twin"]["tensors"] == len(twins)
    assert plan["verdict"] == "safe"


def test_verbose_names_what_goes(cli: Cli, root: Path) -> None:
    arguments = ("convert", str(root / "model.ckpt"), "--no-ema", "--plan")
    name = "model_ema.diffusion_modelout2bias"
    assert name in cli(*arguments, "--verbose").out
    assert name not in cli(*arguments).out


def test_values_beyond_fp16_are_found_beforehand_and_named(cli: Cli, root: Path) -> None:
    file = root / "large.safetensors"
    header = {"a.weight": tensor(0, 8, 2, dtype="F32"), "b.weight": tensor(8, 16, 2, dtype="F32")}
    values = b"\x00\x00\x80\x3f\x00\x00\x80\x3f" + b"\x00\x50\xc3\x47\x00\x00\x80\x3f"
    file.write_bytes(safetensors(header) + values)
    planned = cli("convert", str(file), "--dtype", "fp16", "--plan")
    assert planned.code == 0
    assert "1 tensor with values beyond what fp16 holds" in planned.out
    assert "b.weight: 1 of them, up to 100000" in planned.out
    stopped = cli("convert", str(file), "--dtype", "fp16")
    assert stopped.code == 1
    assert "b.weight" in stopped.err
    assert "--on-overflow" in stopped.err
    kept = cli("convert", str(file), "--dtype", "fp16", "--on-overflow", "fp32")
    assert kept.code == 0, kept.err
    assert "1 tensor kept wider than fp16" in kept.err
    found = read_header(root / "large-fp16.safetensors").tensors
    assert {name: one.dtype for name, one in found.items()} == {
        "a.weight": "F16",
        "b.weight": "F32",
    }


def test_a_query_converts_what_it_finds(cli: Cli, indexed: Path) -> None:
    write_checkpoint(indexed / "other.ckpt", seed=8)
    assert cli("index", str(indexed)).code == 0
    ended = cli("convert", "format:ckpt unsafe:no", "--dtype", "fp16", "--json")
    assert ended.code == 0, ended.err
    done = {Path(one["path"]).name: one for one in json.loads(ended.out)}
    assert sorted(done) == ["model-fp16.safetensors", "other-fp16.safetensors"]
    assert all(one["recorded"] and one["outcome"] == "done" for one in done.values())
    assert "2 of 2 files converted" in ended.err
    shown = json.loads(cli("show", "model-fp16", "--json").out)
    assert shown["made_from"][0]["files"] == [str(indexed / "model.ckpt")]


def test_a_mistake_in_a_query_is_answered_with_its_column(cli: Cli, root: Path) -> None:
    ended = cli("convert", "format:ckpt size>lots", "--dtype", "fp16")
    assert ended.code == 2
    assert "at column" in ended.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--extract-vae", "--extract-unet"], "one part is written at a time"),
        (["--yes"], "--yes goes with --delete-source"),
        (["--plan", "--delete-source"], "--plan changes nothing"),
        (["--keep-energy", "0.9"], "--keep-energy goes with --rank"),
        (["--output", " "], "--output is empty"),
        (["--merge-lora", "a.safetensors:99"], "a number from -10 to 10"),
        (["--merge-lora", "a.safetensors:strong"], "a number from -10 to 10"),
        (["--extract-clip-l", "--unet-dtype", "fp16"], "the unet is not in the result"),
        (["--extract-lora-from", "b.ckpt"], "needs --rank"),
        (["--dtype", "fp8"], "fp8"),
    ],
)
def test_wishes_that_make_no_sense_are_usage_errors(
    cli: Cli, root: Path, arguments: list[str], reason: str
) -> None:
    ended = cli("convert", str(root / "model.ckpt"), *arguments)
    assert ended.code == 2
    assert reason in ended.err
    assert [path.name for path in root.iterdir()] == ["model.ckpt"]


def test_what_would_fail_for_each_file_alike_is_told_once(cli: Cli, root: Path) -> None:
    write_checkpoint(root / "other.ckpt", seed=8)
    ended = cli("convert", str(root / "*.ckpt"), "--output", str(root / "one.safetensors"))
    assert ended.code == 2
    assert ended.err.count("there are several to convert") == 1
    ended = cli("convert", str(root / "*.ckpt"), "--vae", str(root / "none.safetensors"))
    assert ended.code == 3
    assert ended.err.count("there is no file") == 1
    assert sorted(path.name for path in root.iterdir()) == ["model.ckpt", "other.ckpt"]


def test_deleting_asks_and_nobody_there_means_no(cli: Cli, root: Path) -> None:
    ended = cli("convert", str(root / "model.ckpt"), "--delete-source")
    assert ended.code == 130
    assert "--yes" in ended.err
    assert [path.name for path in root.iterdir()] == ["model.ckpt"]
    ended = cli("convert", str(root / "model.ckpt"), "--delete-source", "--yes")
    assert ended.code == 0, ended.err
    assert [path.name for path in root.iterdir()] == ["model.safetensors"]


def test_failures_of_several_files_are_told_one_by_one(cli: Cli, root: Path) -> None:
    (root / "page.ckpt").write_bytes(b"<html></html>")
    (root / "empty.ckpt").write_bytes(b"")
    ended = cli("convert", str(root / "*.ckpt"), "--dtype", "fp16")
    assert ended.code == 1
    assert ended.out == f"{root / 'model-fp16.safetensors'}\n"
    assert "page.ckpt" in ended.err
    assert "empty.ckpt" in ended.err
    assert "1 of 3 files converted" in ended.err


def test_a_lora_changes_its_names_and_rank(cli: Cli, root: Path) -> None:
    style = str(root / "style.safetensors")
    metadata = {"ss_network_module": "networks.lora"}
    write_safetensors(Path(style), lora(SMALL, 8), 3, metadata)
    ended = cli("convert", style, "--lora-keys", "diffusers", "--rank", "2")
    assert ended.code == 0, ended.err
    result = root / "style-diffusers-rank2.safetensors"
    header = read_header(result)
    ranks = {one.shape[0] for name, one in header.tensors.items() if "lora_A" in name}
    assert ranks == {2}
    refused = cli("convert", str(root / "model.ckpt"), "--rank", "4")
    assert refused.code == 1
    assert "of LoRA files" in refused.err


def test_a_lora_goes_into_a_checkpoint_and_comes_out_again(cli: Cli, root: Path) -> None:
    base, style = root / "base.safetensors", root / "style.safetensors"
    write_safetensors(base, under("model.diffusion_model.", unet(KNOWN)), 1, {})
    write_safetensors(style, lora(KNOWN, 4), 3, {"ss_network_module": "networks.lora"})
    merged = cli("convert", str(base), "--merge-lora", f"{style}:0.5")
    assert merged.code == 0, merged.err
    result = root / "base-with-style.safetensors"
    assert merged.out == f"{result}\n"
    assert len(read_header(result).metadata["modelhub.with_sha256"]) == 64
    back = cli("convert", str(result), "--extract-lora-from", str(base), "--rank", "4")
    assert back.code == 0, back.err
    tensors = read_header(root / "base-with-style-lora-rank4.safetensors").tensors
    ranks = {one.shape[0] for name, one in tensors.items() if name.endswith("lora_down.weight")}
    assert ranks == {4}
