"""Moves to another file system: copied, read back, compared, and only then removed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.errors import Cancelled
from modelhub.progress import Advanced, Event
from modelhub.services.organize import moving
from tests.services.index.shelf import lora, safetensors

from .desk import Desk

_MEMORY = Path("/dev/shm")


@pytest.fixture
def other(desk: Desk) -> Iterator[Path]:
    """A root on another file system."""
    if not _MEMORY.is_dir() or _MEMORY.stat().st_dev == desk.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        root = Path(name) / "models"
        root.mkdir()
        desk.catalog.add_root(root, layout="comfyui")
        yield root


def test_a_file_arrives_whole_with_its_time_and_its_companions(desk: Desk, other: Path) -> None:
    source = desk.put("new/ink.safetensors")
    content, time = source.read_bytes(), source.stat().st_mtime_ns
    source.chmod(0o640)
    desk.beside("new/ink.json", "{}")
    desk.index()
    desk.catalog.tag("ink", ["loved"])
    desk.organize(into=other)
    target = other / "loras/ink.safetensors"
    assert target.read_bytes() == content
    assert (target.stat().st_mtime_ns, target.stat().st_mode & 0o777) == (time, 0o640)
    assert desk.files() == []
    assert desk.files(other) == ["loras/ink.json", "loras/ink.safetensors"]
    report = desk.index(desk.root, other)
    assert (report.new, report.missing, report.hashed) == (0, 0, 0)
    assert desk.rows()[0].tags == ("loved",)
    desk.undo()
    assert source.read_bytes() == content
    desk.agrees()


def test_a_rotten_source_is_left_where_it_is(desk: Desk, other: Path) -> None:
    source = desk.put("ink.safetensors")
    desk.index()
    rotten = bytearray(source.read_bytes())
    rotten[-1] ^= 1
    stat = source.stat()
    source.write_bytes(rotten)
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = desk.organize(into=other)
    assert "not what it was when it was hashed" in report.failed[0].reason
    assert source.read_bytes() == bytes(rotten)
    assert desk.files(other) == []


def test_a_disk_that_does_not_keep_what_is_written_costs_nothing(
    desk: Desk, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put("ink.safetensors")
    desk.index()
    monkeypatch.setattr(moving, "_read_back", lambda copy, cancel: "0" * 64)
    report = desk.organize(into=other)
    assert "did not keep" in report.failed[0].reason
    assert (desk.files(), desk.files(other)) == (["ink.safetensors"], [])


def test_a_failure_in_the_middle_of_a_sharded_model_brings_all_of_it_back(
    desk: Desk, other: Path
) -> None:
    names = desk.put_shards("big", 3)
    desk.index()
    last = desk.root / names[-1]
    rotten = bytearray(last.read_bytes())
    rotten[-1] ^= 1
    stat = last.stat()
    last.write_bytes(rotten)
    os.utime(last, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    before = desk.files()
    report = desk.organize(into=other)
    assert len(report.failed) == 1
    assert (desk.files(), desk.files(other)) == (before, [])
    assert desk.index().new == 0


def test_a_full_disk_is_told_before_a_byte_is_written(
    desk: Desk, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put("ink.safetensors")
    desk.index()
    usage = shutil.disk_usage(other)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    report = desk.organize(into=other)
    assert "no room" in report.failed[0].reason
    assert (desk.files(), desk.files(other)) == (["ink.safetensors"], [])


def test_a_diffusers_folder_moves_whole_on_one_disk_and_to_another(desk: Desk, other: Path) -> None:
    for component, seed in (("unet", 1), ("vae", 2)):
        name = f"new/pipe/{component}/diffusion_pytorch_model.safetensors"
        desk.put(name, lora(seed))
        desk.beside(f"new/pipe/{component}/config.json")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    desk.beside("new/pipe/model_index.json", json.dumps(index | {"vae": ["diffusers", "A"]}))
    desk.index()
    before = desk.files()
    assert [row.format for row in desk.rows()] == ["diffusers"]
    desk.organize(guesses=True)
    here = [one.replace("new/", "diffusers/") for one in before]
    assert desk.files() == here
    desk.organize(into=other, guesses=True)
    assert (desk.files(), desk.files(other)) == ([], here)
    assert not (desk.root / "diffusers/pipe").exists()
    report = desk.index(desk.root, other)
    assert (report.new, report.missing) == (0, 0)
    desk.undo()
    desk.undo()
    assert (desk.files(), desk.files(other)) == (before, [])
    assert desk.index().new == 0


def test_a_copy_tells_how_far_it_is_and_can_be_stopped_in_the_middle(
    desk: Desk, other: Path
) -> None:
    size = 24 << 20
    name = "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    tensor = {"dtype": "F16", "shape": [size // 1536, 768], "data_offsets": [0, size]}
    source = desk.put("big.safetensors", safetensors({name: tensor}, size))
    desk.index()
    cancel = threading.Event()
    told: list[Advanced] = []

    def listen(event: Event) -> None:
        if isinstance(event, Advanced):
            told.append(event)
            if event.done > size // 3:
                cancel.set()

    report = desk.organize(into=other, listener=listen, cancel=cancel, guesses=True)
    assert isinstance(report.stopped, Cancelled)
    assert {one.total for one in told} == {source.stat().st_size}
    assert (desk.files(), desk.files(other)) == (["big.safetensors"], [])
    desk.organize(into=other, guesses=True)
    assert desk.files(other) == ["loras/big.safetensors"]


def test_a_cancelled_run_moves_nothing_more(desk: Desk, other: Path) -> None:
    desk.put("a.safetensors")
    desk.index()
    cancel = threading.Event()
    cancel.set()
    report = desk.organize(into=other, cancel=cancel)
    assert report.stopped is not None
    assert (desk.files(), desk.files(other)) == (["a.safetensors"], [])
