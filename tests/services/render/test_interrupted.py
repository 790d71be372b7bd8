from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, DiskFull, FolderNotWritable, MissingExtra
from modelhub.progress import Event, Outcome, Stage, StageEntered, Stepped, TaskFinished
from tests.placement.disks import mounted_tmpfs, read_only
from tests.render import tiny

from .conftest import Studio


@pytest.mark.parametrize("stage", [Stage.READ, Stage.LOAD, Stage.RENDER, Stage.RECORD])
def test_cancelling_keeps_what_was_finished(stocked: Studio, stage: Stage) -> None:
    """At each stage of the second picture."""

    def watch(event: Event) -> None:
        done = any(isinstance(one, TaskFinished) and one.task == "0-0-0" for one in stocked.told)
        here = isinstance(event, StageEntered) and event.stage is stage
        if here and (done or stage is Stage.READ):
            stocked.cancel.set()

    tiny.write_sd1(stocked.root / "other.safetensors", seed=8)
    stocked.watch = watch
    paths = [stocked.root / "base.safetensors", stocked.root / "other.safetensors"]
    report = stocked.render(*paths, compare=("file",))
    expected = {Stage.READ: 0, Stage.RECORD: 2}.get(stage, 1)
    assert len(report.made) == expected
    assert report.stopped == (expected < 2)
    grids = 0 if report.stopped else 1
    assert len(list((stocked.root.parent / "home").rglob("*.png"))) == expected + grids
    assert all(isinstance(one.error, Cancelled) for one in report.failed)
    ended = [one for one in stocked.told if isinstance(one, TaskFinished)]
    assert sum(one.outcome is Outcome.CANCELLED for one in ended) == 2 - expected
    stocked.cancel.clear()
    stocked.watch = lambda event: None
    assert stocked.one("base").path.exists(), "the worker is there for the next"


def test_cancelling_within_a_step_ends_it(stocked: Studio) -> None:
    def watch(event: Event) -> None:
        if isinstance(event, Stepped) and event.done == 2:
            stocked.cancel.set()

    stocked.watch = watch
    report = stocked.render("base", steps=200)
    assert report.stopped
    assert not report.made
    assert max(one.done for one in stocked.told if isinstance(one, Stepped)) < 200


def test_a_file_that_is_replaced_meanwhile_leaves_no_picture(stocked: Studio) -> None:
    path = stocked.root / "base.safetensors"

    def watch(event: Event) -> None:
        if isinstance(event, StageEntered) and event.stage is Stage.RENDER:
            path.unlink()
            tiny.write_sd1(path, seed=99)

    stocked.watch = watch
    report = stocked.render(path)
    [failed] = report.failed
    assert "changed while it was rendered" in failed.error.message
    assert not list((stocked.root.parent / "home").rglob("*.png"))


def test_a_full_disk_ends_the_run_and_keeps_the_pictures_before(
    stocked: Studio, tmp_path: Path
) -> None:
    with mounted_tmpfs(tmp_path / "small", "size=64k") as folder:
        report = stocked.render("base", compare=("seed=1..9",), out=folder)
        assert report.made
        assert len(report.made) < 9
        assert {type(one.error) for one in report.failed} == {DiskFull}
        assert "--out" in report.failed[0].error.hint
        assert sorted(folder.iterdir()) == sorted(one.path for one in report.made)
    assert report.grids == []
    assert not report.stopped


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_rendered(
    stocked: Studio, tmp_path: Path
) -> None:
    with read_only(tmp_path / "sealed") as folder, pytest.raises(FolderNotWritable):
        stocked.render("base", out=folder / "pictures")
    assert stocked.told == []


def test_without_torch_the_command_that_installs_it_is_told(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelhub.render.worker.started._NEEDED", ("torch_that_is_not_there",))
    with pytest.raises(MissingExtra) as caught:
        studio.render("anything")
    assert "pip install 'modelhub[render]'" in caught.value.hint


def test_a_picture_stands_even_if_the_catalog_cannot_take_its_record(stocked: Studio) -> None:
    path = stocked.library.catalog.path
    assert path is not None
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)

    def watch(event: Event) -> None:
        if isinstance(event, StageEntered) and event.stage is Stage.RECORD:
            other.execute("BEGIN IMMEDIATE")

    stocked.watch = watch
    try:
        image = stocked.one("base")
    finally:
        other.close()
    assert image.id is None
    assert image.path.exists()
    assert "is not in the catalog" in image.notices[-1]
