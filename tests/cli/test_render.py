from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.render import tiny

from .conftest import Cli


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    tiny.write_sd1(root / "base.safetensors")
    return root


@pytest.mark.timeout(240)
def test_pictures_go_to_standard_output_and_the_rest_beside(cli: Cli, root: Path) -> None:
    model = str(root / "base.safetensors")
    settings = ("--prompt", "a cat", "--steps", "1", "--size", "64x64")
    ended = cli("render", model, *settings, "--compare", "dtype=fp16,fp32", "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert [one["weights"] for one in said["images"]] == ["fp16", "fp32"]
    [grid] = said["grids"]
    assert Path(grid["path"]).is_file()
    [apart] = grid["differences"]
    assert apart["psnr"] > 20
    number = said["images"][0]["id"]
    again = cli("render", "--again", str(number))
    assert again.code == 0, again.err
    assert Path(again.out.strip()).is_file()
    assert f"identical to render {number}" in again.err

    listed = json.loads(cli("renders", "--json").out)
    assert [one["id"] for one in listed] == [3, 2, 1]
    assert listed[0]["again_of"] == number
    table = cli("renders", "--limit", "1").out
    assert "base.safetensors" in table
    shown = cli("renders", "show", "1").out
    assert "a cat" in shown
    assert "fp16" in shown
    refused = cli("renders", "delete", "1")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert cli("renders", "delete", "1", "2", "--yes").code == 0
    assert [one["id"] for one in json.loads(cli("renders", "--json").out)] == [3]
    assert cli("renders", "show", "1").code == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing argument"),
        (["--size", "large"], "is no size"),
        (["--steps", "0"], "0 steps cannot be made"),
        (["--size", "65x64"], "not divisible by 8"),
        (["--lora", "style:99"], "a number from -10 to 10"),
        (["--part", "text_encoder"], "names no part"),
        (["--grid", "grid.png"], "--grid goes with --compare"),
        (["--compare", "a", "--compare", "b", "--compare", "c"], "one axis or two"),
        (["--compare", "colour"], "no such axis"),
        (["--refiner-from", "0.5"], "--refiner-from goes with --refiner"),
        (["--out", " "], "is empty"),
        (["--dtype", "fp8"], "fp8"),
        (["--again", "3", "--steps", "4"], "does not go with"),
    ],
)
def test_wishes_that_make_no_sense_are_usage_errors(
    cli: Cli, root: Path, arguments: list[str], reason: str
) -> None:
    model = [str(root / "base.safetensors")] if arguments else []
    ended = cli("render", *model, *arguments)
    assert ended.code == 2
    assert reason.lower() in ended.err.lower()


def test_again_takes_no_files(cli: Cli) -> None:
    ended = cli("render", "model.safetensors", "--again", "3")
    assert ended.code == 2
    assert cli("render", "--again", "3").code == 3


def test_no_renders_are_told_with_what_makes_one(cli: Cli) -> None:
    ended = cli("renders")
    assert ended.code == 0
    assert "modelhub render" in ended.err
    assert json.loads(cli("renders", "type:lora", "--json").out) == []
    assert cli("renders", "size>lots").code == 2
