from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhub.demo import recipes
from modelhub.errors import AlreadyRunning, NotFoundError
from modelhub.progress import Event, TaskRenamed
from modelhub.services.organize.journal import opened_journal
from tests.services.index.shelf import lora

from .desk import Desk, publish


def test_without_apply_nothing_is_touched_and_the_plan_says_why(desk: Desk) -> None:
    desk.put("downloads/ink.safetensors")
    desk.index()
    report = desk.organize(apply=False)
    assert [(one.source, one.target, one.why) for one in report.plan.movements] == [
        (
            desk.root / "downloads/ink.safetensors",
            desk.root / "loras/ink.safetensors",
            "a LoRA, by its tensors",
        )
    ]
    assert desk.files() == ["downloads/ink.safetensors"]
    assert not (desk.root / "loras").exists()
    assert desk.catalog.events(kinds=("organized",)) == []


def test_a_model_moves_with_all_that_stands_beside_it_and_its_tags_stay(desk: Desk) -> None:
    desk.put("downloads/ink.v1.safetensors")
    desk.put("downloads/ink.safetensors")
    for name in ("ink.v1.civitai.info", "ink.v1.preview.png", "ink.v1.txt", "ink.v1.yaml"):
        desk.beside(f"downloads/{name}")
    desk.beside("downloads/ink.json")
    desk.beside("downloads/readme.md")
    desk.index()
    desk.catalog.tag("ink.v1", ["loved"])
    report = desk.organize()
    assert len(report.moved) == 2
    assert desk.files() == [
        "downloads/readme.md",
        "loras/ink.json",
        "loras/ink.safetensors",
        "loras/ink.v1.civitai.info",
        "loras/ink.v1.preview.png",
        "loras/ink.v1.safetensors",
        "loras/ink.v1.txt",
        "loras/ink.v1.yaml",
    ]
    assert desk.row("loras/ink.v1.safetensors").tags == ("loved",)
    assert (desk.root / "downloads").is_dir()
    desk.agrees()
    assert desk.organize().plan.in_place == 2


def test_undo_brings_everything_back_and_can_be_done_once(desk: Desk) -> None:
    desk.put("new/deep/ink.safetensors")
    desk.beside("new/deep/ink.preview.png")
    desk.put("other.safetensors")
    desk.index()
    before = desk.files()
    desk.organize(prune_empty=True)
    assert not (desk.root / "new").exists()
    report = desk.undo()
    assert len(report.moved) == 2
    assert desk.files() == before
    desk.agrees()
    with pytest.raises(NotFoundError):
        desk.undo()


def test_a_single_move_is_taken_back_by_its_event(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.put("b.safetensors")
    desk.index()
    report = desk.organize()
    event = next(one.event for one in report.moved if one.movement.source.name == "a.safetensors")
    assert len(desk.undo(str(event)).moved) == 1
    assert desk.files() == ["a.safetensors", "loras/b.safetensors"]
    assert len(desk.undo(report.run).moved) == 1, "the rest of the run"
    assert desk.files() == ["a.safetensors", "b.safetensors"]


def test_undo_refuses_what_changed_since(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        desk.put(f"{name}.safetensors")
        desk.beside(f"{name}.txt")
    desk.index()
    desk.organize()
    (desk.root / "loras/a.txt").write_text("my own words")
    desk.put("loras/b.safetensors", lora(99))
    report = desk.undo()
    assert sorted(one.path.name for one in report.plan.skipped) == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert all("changed since" in one.reason for one in report.plan.skipped)
    assert (desk.root / "c.txt").exists()
    assert (desk.root / "loras/a.txt").read_text() == "my own words"


def test_undo_refuses_when_the_old_place_is_taken(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.index()
    desk.organize()
    desk.put("a.safetensors", lora(5))
    report = desk.undo()
    assert "is taken" in report.plan.skipped[0].reason
    assert desk.files() == ["a.safetensors", "loras/a.safetensors"]


def test_nothing_is_overwritten_and_companions_get_the_free_name_too(desk: Desk) -> None:
    desk.put("loras/ink.safetensors")
    desk.put("new/ink.safetensors", lora(7))
    desk.beside("new/ink.json", "{}")
    desk.beside("loras/ink (2).json", "taken")
    desk.index()
    desk.organize()
    assert desk.files() == [
        "loras/ink (2).json",
        "loras/ink (3).json",
        "loras/ink (3).safetensors",
        "loras/ink.safetensors",
    ]
    desk.agrees()


def test_two_models_of_one_name_in_one_plan_get_two_names(desk: Desk) -> None:
    desk.put("a/ink.safetensors")
    desk.put("b/INK.safetensors")
    desk.index()
    desk.organize()
    assert desk.files() == ["loras/INK (2).safetensors", "loras/ink.safetensors"]


def test_folders_of_the_users_own_below_the_kinds_folder_stay(desk: Desk) -> None:
    desk.put("loras/anime/old/ink.safetensors")
    desk.index()
    report = desk.organize()
    assert (report.moved, report.plan.in_place) == ([], 1)


def test_companions_stay_with_another_model_of_the_same_stem(desk: Desk) -> None:
    desk.put("new/ink.safetensors")
    (desk.root / "new/ink.ckpt").write_bytes(b"\x80\x02no model at all" * 100)
    desk.beside("new/ink.json")
    desk.index()
    report = desk.organize("path:new/ink.safetensors")
    assert "stays with ink.ckpt" in report.moved[0].notices[0]
    assert desk.files() == ["loras/ink.safetensors", "new/ink.ckpt", "new/ink.json"]


def test_what_is_unknown_damaged_missing_changed_or_downloading_is_left_alone(desk: Desk) -> None:
    desk.put("gone.safetensors")
    desk.put("damaged.safetensors", b"\xff" * 400)
    desk.put("changed.safetensors")
    desk.put("loading.safetensors")
    desk.index()
    (desk.root / "gone.safetensors").unlink()
    desk.index()
    desk.put("changed.safetensors", lora(8), mtime_ns=10**18)
    desk.beside("loading.safetensors.aria2")
    report = desk.organize()
    assert report.moved == []
    reasons = {one.path.name: one.reason for one in report.plan.skipped}
    assert reasons.keys() == {
        "gone.safetensors",
        "damaged.safetensors",
        "changed.safetensors",
        "loading.safetensors",
    }
    assert "downloaded" in reasons["loading.safetensors"]


def test_a_symbolic_link_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.safetensors"
    real.write_bytes(lora(3))
    os.utime(real, ns=(10**18, 10**18))
    (desk.root / "link.safetensors").symlink_to(real)
    desk.index()
    report = desk.organize()
    assert [one.reason for one in report.plan.skipped] == ["it is a symbolic link"]


def test_the_files_of_invokeai_are_never_moved(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "invokeai" / "models"
    (folder / "abc").mkdir(parents=True)
    (folder / "abc/ink.safetensors").write_bytes(lora(1))
    (folder.parent / "invokeai.yaml").write_text("schema_version: 4.0.2\n")
    desk.catalog.add_root(folder, layout="invokeai")
    desk.catalog.add_root(desk.root)
    desk.index(folder, wait=0, settle=0)
    for report in (desk.organize(), desk.organize(into=desk.root)):
        assert report.moved == []
        assert "never moved" in report.plan.skipped[0].reason


def test_a_root_without_a_layout_is_arranged_only_when_told_how(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "ink.safetensors").write_bytes(lora(1))
    desk.index(other, wait=0, settle=0)
    assert "has no layout" in desk.organize().plan.skipped[0].reason
    desk.organize(layout="a1111")
    assert desk.files(other) == ["models/Lora/ink.safetensors"]


def test_into_another_root_keeps_the_users_own_folders(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "webui"
    other.mkdir()
    desk.catalog.add_root(other, layout="a1111")
    desk.put("loras/anime/ink.safetensors")
    desk.beside("loras/anime/ink.json")
    desk.index()
    desk.organize(into=other, prune_empty=True)
    assert desk.files() == []
    assert desk.files(other) == [
        "models/Lora/anime/ink.json",
        "models/Lora/anime/ink.safetensors",
    ]
    assert desk.rows()[0].root == str(other)
    assert desk.index(other).new == 0
    desk.undo()
    assert desk.files() == ["loras/anime/ink.json", "loras/anime/ink.safetensors"]
    desk.agrees()


def test_a_template_places_files_once_and_finds_them_in_place_then(desk: Desk) -> None:
    desk.set(layout="template", template="{kind}/{base_model}/{file}")
    desk.put("ink.safetensors")
    desk.index()
    desk.organize()
    assert desk.files() == ["lora/sd1/ink.safetensors"]
    assert desk.organize().plan.in_place == 1


def test_names_that_are_not_utf8_move_and_come_back(desk: Desk) -> None:
    name = os.fsdecode(b"t\xf6n.safetensors")
    desk.put(name, lora(4))
    desk.index()
    desk.organize()
    assert desk.files() == [f"loras/{name}"]
    desk.undo()
    assert desk.files() == [name]


def test_shards_move_together_with_their_index(desk: Desk) -> None:
    desk.put_shards("new/big", 3)
    desk.beside("new/big.txt", "notes")
    before = desk.files()
    desk.index()
    assert len(desk.rows()) == 1
    report = desk.organize(guesses=True)
    assert len(report.moved) == 1, report.plan.skipped
    assert desk.files() == [one.replace("new/", "loras/") for one in before]
    assert desk.rows()[0].parts == 3
    assert desk.index().new == 0
    desk.undo()
    assert desk.files() == before
    assert desk.index().new == 0


def test_only_one_process_organizes_at_a_time(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.index()
    with opened_journal(desk.catalog), pytest.raises(AlreadyRunning):
        desk.organize()


def test_a_vae_that_a1111_finds_by_name_goes_with_its_checkpoint(desk: Desk) -> None:
    desk.set(layout="a1111")
    desk.make("new/mix.safetensors", recipes.checkpoint(1, "Mix"))
    desk.make("new/mix.vae.safetensors", recipes.autoencoder(2, "Its VAE"))
    desk.make("new/free.safetensors", recipes.autoencoder(3, "Another"))
    desk.beside("new/mix.preview.png")
    desk.index()
    assert sorted(row.type or "" for row in desk.rows()) == ["checkpoint", "vae", "vae"]
    desk.organize(guesses=True)
    assert desk.files() == [
        "models/Stable-diffusion/mix.preview.png",
        "models/Stable-diffusion/mix.safetensors",
        "models/Stable-diffusion/mix.vae.safetensors",
        "models/VAE/free.safetensors",
    ]
    desk.agrees()
    report = desk.organize(guesses=True)
    assert (report.moved, report.plan.in_place) == ([], 2)
    desk.undo()
    assert "new/mix.vae.safetensors" in desk.files()


def test_the_catalog_knows_where_a_preview_went(desk: Desk) -> None:
    desk.put("ink.safetensors")
    picture = desk.beside("ink.preview.png", "a picture")
    desk.index()
    publish(desk, "ink.safetensors", picture)
    desk.organize()
    details = desk.catalog.show(desk.row("loras/ink.safetensors").id)
    assert [one.file for one in details.previews] == [str(desk.root / "loras/ink.preview.png")]
    desk.undo()
    details = desk.catalog.show(desk.row("ink.safetensors").id)
    assert [one.file for one in details.previews] == [str(picture)]


def test_what_was_published_decides_before_what_was_identified(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.index()
    publish(desk, "ink.safetensors", desk.root / "none.png", type="Hypernetwork")
    report = desk.organize()
    assert report.moved[0].movement.why == "a hypernetwork, as published"
    assert desk.files() == ["hypernetworks/ink.safetensors"]


def test_folders_of_the_settings_hold(desk: Desk) -> None:
    desk.set(folders={"LORA": "loras/mine"})
    desk.put("loras/ink.safetensors")
    desk.index()
    desk.organize()
    assert desk.files() == ["loras/mine/ink.safetensors"]
    assert desk.organize().plan.in_place == 1


def test_a_file_that_changes_between_plan_and_move_is_left_alone(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.put("b.safetensors")
    desk.index()

    def meddle(event: Event) -> None:
        if isinstance(event, TaskRenamed) and event.name.startswith("2 of 2"):
            desk.put("b.safetensors", lora(77), mtime_ns=10**18)

    report = desk.organize(listener=meddle)
    assert ["changed since" in one.reason for one in report.failed] == [True]
    assert desk.files() == ["b.safetensors", "loras/a.safetensors"]


def test_a_name_that_is_taken_between_plan_and_move_is_not_overwritten(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.beside("a.json", "my sidecar")
    desk.index()

    def meddle(event: Event) -> None:
        if isinstance(event, TaskRenamed):
            desk.beside("loras/a.safetensors", "taken")

    report = desk.organize(listener=meddle)
    assert "taken by another file" in report.failed[0].reason
    assert desk.files() == ["a.json", "a.safetensors", "loras/a.safetensors"]
    assert (desk.root / "loras/a.safetensors").read_text() == "taken"


def test_an_undo_into_a_root_that_was_removed_is_refused(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.index()
    desk.organize()
    root = desk.catalog.root(desk.root)
    assert root is not None
    desk.catalog.remove_root(root.id, forget=True)
    assert "no root any more" in desk.undo().plan.skipped[0].reason
    assert desk.files() == ["loras/a.safetensors"]


def test_a_copy_of_what_is_in_its_place_already_stays(desk: Desk) -> None:
    desk.put("loras/ink.safetensors", lora(5))
    desk.put("new/ink.safetensors", lora(5))
    desk.put("new/other name.safetensors", lora(5))
    desk.index()
    report = desk.organize()
    assert ["same content" in one.reason for one in report.plan.skipped] == [True]
    assert desk.files() == [
        "loras/ink.safetensors",
        "loras/other name.safetensors",
        "new/ink.safetensors",
    ]
