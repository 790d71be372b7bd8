from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.formats.weights import as_fp16
from tests.services.dupes.shelf import checkpoint, lora, put, vae
from tests.services.index.shelf import OLD

from .conftest import Cli


@pytest.fixture
def root(cli: Cli, tmp_path: Path) -> Path:
    """A root with a LoRA, a copy of it, and the same weights in half precision."""
    root = tmp_path / "models"
    first = put(root / "a.safetensors", lora(1))
    os.utime(first, ns=(OLD, OLD - 10**9))
    put(root / "copy.safetensors", lora(1))
    put(root / "half.safetensors", as_fp16(lora(1)))
    assert cli("index", str(root)).code == 0
    return root


def test_copies_and_other_precisions_are_listed(cli: Cli, root: Path) -> None:
    ended = cli("dupes")
    assert ended.code == 0, ended.err
    assert "The same bytes:" in ended.out
    assert "The same weights, in another form:" in ended.out
    assert "Linking 1 copy would free" in ended.out
    assert "half.safetensors" in ended.out
    assert "half.safetensors" not in cli("dupes", "--bytes").out


def test_json_has_the_groups_in_bytes(cli: Cli, root: Path) -> None:
    report = json.loads(cli("dupes", "--json").out)
    size = (root / "copy.safetensors").stat().st_size
    assert report["saves"] == size
    assert report["linked"] is None
    assert [(one["same"], one["level"], one["saves"]) for one in report["groups"]] == [
        ("bytes", None, size),
        ("weights", "fp16", 0),
    ]
    copies = [one for one in report["groups"][0]["members"] if one["part"] == "copy"]
    assert copies[0]["link_to"] == str(root / "a.safetensors")


def test_linking_asks_first_and_can_be_tried(cli: Cli, root: Path) -> None:
    first, copy = root / "a.safetensors", root / "copy.safetensors"
    assert cli("dupes", "--link", "--dry-run").code == 0
    refused = cli("dupes", "--link")
    assert refused.code == 130
    assert "--yes links them" in refused.err
    assert first.stat().st_ino != copy.stat().st_ino
    done = cli("dupes", "--link", "--yes")
    assert done.code == 0, done.err
    assert "1 copy linked" in done.out
    assert "Nothing" not in cli("dupes").out
    assert json.loads(cli("dupes", "--json").out)["saves"] == 0


def test_linking_as_json_tells_what_was_done(cli: Cli, root: Path) -> None:
    report = json.loads(cli("dupes", "--link", "--yes", "--json").out)
    assert [one["target"] for one in report["linked"]["linked"]] == [str(root / "copy.safetensors")]
    assert report["linked"]["left"] == []


def test_an_empty_library_has_nothing_twice(cli: Cli) -> None:
    assert "Nothing is here twice" in cli("dupes").out
    assert cli("dupes", "--yes").code == 2


def test_show_names_the_vae_that_a_checkpoint_has_baked_in(cli: Cli, root: Path) -> None:
    put(root / "model.safetensors", checkpoint(1, vae_seed=7))
    alone = put(root / "known.vae.safetensors", as_fp16(vae(7)))
    assert cli("index", str(root)).code == 0
    assert "VAE files that checkpoints have baked in" in cli("dupes").out
    shown = cli("show", "model.safetensors").out
    assert "Same VAE" in shown
    assert str(alone) in shown
    assert json.loads(cli("show", "--json", "model.safetensors").out)["same_vae"] == [str(alone)]
