from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog import LocalFileRecord, ModelRecord, VersionRecord
from modelhub.demo.weights.files import system_call
from modelhub.errors import (
    AddonMisfit,
    AmbiguousFile,
    CannotRender,
    PartsMissing,
    UnknownFile,
    UnsafeFileError,
    UsageError,
)
from modelhub.formats.hashes import hash_file
from modelhub.progress import Notice, Stage, StageEntered, Stepped
from modelhub.render.images.pictures import pixels_of
from modelhub.render.images.record import read_parameters, read_record
from tests.render import tiny

from .conftest import Studio, without_vae


def texts(studio: Studio) -> str:
    return "\n".join(event.text for event in studio.told if isinstance(event, Notice))


def test_a_picture_is_kept_by_day_with_all_that_made_it(stocked: Studio) -> None:
    image = stocked.one(stocked.root / "base.safetensors", negative="dogs", seed=5)
    assert image.path.parent.parent.name == "renders"
    assert image.path.name == "base-5.png"
    assert pixels_of(image.path.read_bytes()).shape == (64, 64, 3)
    sha256 = hash_file(stocked.root / "base.safetensors").sha256
    parameters = read_parameters(image.path)
    assert parameters is not None
    assert parameters.prompt == "a cat"
    assert parameters.negative == "dogs"
    assert parameters.fields["Model hash"] == sha256[:10].lower()
    assert parameters.fields["Steps"] == "1"
    record = read_record(image.path)
    assert record is not None
    assert record.files[0].sha256 == sha256
    assert image.id is not None
    row = stocked.library.catalog.render(image.id)
    assert row is not None
    assert (row.sha256, row.seed, row.prompt) == (sha256, 5, "a cat")
    kept = image.kept
    assert kept.settings.cfg is not None
    assert kept.device
    assert kept.versions["torch"]
    assert kept.peak_bytes > 0
    assert stocked.library.paths("used:ever") == ["base.safetensors"]


def test_progress_goes_through_loading_and_every_step(stocked: Studio) -> None:
    stocked.one(stocked.root / "base.safetensors", steps=3, preview=True)
    steps = [event for event in stocked.told if isinstance(event, Stepped)]
    assert [one.done for one in steps][-3:] == [1, 2, 3]
    assert steps[-1].total == 3
    assert any(one.preview.startswith(b"\x89PNG") for one in steps)
    stages = [event.stage for event in stocked.told if isinstance(event, StageEntered)]
    assert stages.index(Stage.RENDER) < stages.index(Stage.RECORD)


def test_a_file_that_no_root_has_is_hashed_and_recorded_too(studio: Studio, tmp_path: Path) -> None:
    loose = tiny.write_sd1(tmp_path / "loose.safetensors")
    image = studio.one(loose)
    assert image.kept.files[0].sha256 == hash_file(loose).sha256
    assert image.id is not None


def test_nothing_is_replaced(stocked: Studio) -> None:
    first = stocked.one("base")
    second = stocked.one("base")
    assert [first.path.name, second.path.name] == ["base-0.png", "base-0-2.png"]
    assert first.kept.pixels_sha256 == second.kept.pixels_sha256


def test_a_lora_is_tried_on_a_checkpoint_of_the_library_with_its_words(stocked: Studio) -> None:
    catalog = stocked.library.catalog
    catalog.set_trigger_words([stocked.library.row("style.safetensors").id], ["inkwash"])
    image = stocked.one("style")
    roles = {one.role: one for one in image.kept.files}
    assert roles["model"].file.name == "base.safetensors"
    assert roles["lora"].weight == 1.0
    assert image.kept.settings.prompt == "inkwash, a cat"
    assert "base.safetensors is the base" in texts(stocked)
    parameters = read_parameters(image.path)
    assert parameters is not None
    assert "<lora:style:1>" in parameters.prompt
    assert image.id is not None
    row = catalog.render(image.id)
    assert row is not None
    assert row.sha256 == roles["lora"].sha256, "the picture is of the LoRA"
    plain = stocked.one("style", triggers=False)
    assert plain.kept.settings.prompt == "a cat"
    assert plain.kept.pixels_sha256 != image.kept.pixels_sha256


def test_a_lora_can_be_named_in_the_prompt(stocked: Studio) -> None:
    tagged = stocked.one("base", prompt="a cat <lora:style:0.5>", triggers=False)
    listed = stocked.one("base", loras=(("style", 0.5),), triggers=False)
    assert tagged.kept.settings.prompt == "a cat"
    assert tagged.kept.pixels_sha256 == listed.kept.pixels_sha256
    assert {one.role: one.weight for one in tagged.kept.files}["lora"] == 0.5


def test_an_embedding_and_a_vae_are_tried_on_a_base(stocked: Studio) -> None:
    embedding = stocked.one("badhands")
    assert embedding.kept.settings.prompt == "badhands, a cat"
    negative = stocked.one("badhands", negative="badhands")
    assert negative.kept.settings.prompt == "a cat", "it is called by the negative prompt"
    vae = stocked.one("soft.vae")
    assert [one.role for one in vae.kept.files] == ["model", "vae"]


def test_an_add_on_for_another_model_is_refused_with_both_names(
    stocked: Studio, tmp_path: Path
) -> None:
    wrong = tiny.write_lora(tmp_path / "xl.safetensors", sdxl_one=True)
    [failed] = stocked.render(wrong, on="base").failed
    assert isinstance(failed.error, AddonMisfit)
    assert "xl.safetensors" in failed.error.message
    assert "base.safetensors" in failed.error.message


def test_no_base_that_fits_is_told_with_what_would_help(studio: Studio) -> None:
    lora = tiny.write_lora(studio.root / "style.safetensors")
    [failed] = studio.render(lora).failed
    assert isinstance(failed.error, CannotRender)
    assert "--on" in failed.error.hint


def test_a_part_that_lacks_is_taken_from_the_catalog_or_named(stocked: Studio) -> None:
    bare = without_vae(stocked.root / "bare.safetensors")
    image = stocked.one(bare)
    assert {one.role for one in image.kept.files} == {"model", "vae"}
    assert "soft.vae.safetensors supplies it" in texts(stocked)
    (stocked.root / "soft.vae.safetensors").unlink()
    stocked.index()
    [failed] = stocked.render(bare).failed
    assert isinstance(failed.error, PartsMissing)
    assert "--vae" in failed.error.hint


def test_a_dangerous_pickle_is_refused_and_hinders_no_other(stocked: Studio) -> None:
    bad = tiny.write_sd1(stocked.root / "bad.ckpt", before=system_call("echo pwned"))
    report = stocked.render(bad, stocked.root / "base.safetensors")
    [failed] = report.failed
    assert isinstance(failed.error, UnsafeFileError)
    assert len(report.made) == 1
    assert stocked.render(bad, allow_unsafe=True).made


def test_what_the_page_recommends_is_used_unless_asked_otherwise(stocked: Studio) -> None:
    raw = b'{"settings": {"strength": 0.6, "clipSkip": 2}, "images": ['
    raw += b",".join([b'{"meta": {"steps": 2, "cfgScale": 4.5, "sampler": "Heun"}}'] * 3) + b"]}"
    row = stocked.library.row("style.safetensors")
    catalog, now = stocked.library.catalog, row.added_at
    model = ModelRecord(id=7, name="Style", type="LORA", fetched_at=now)
    version = VersionRecord(id=8, model_id=7, name="v1", fetched_at=now, raw=raw.decode())
    catalog.record_published(model, [version])
    path = stocked.root / "style.safetensors"
    catalog.record_local_file(
        LocalFileRecord.of(stocked.root, path, stat=path.stat()), version_id=8
    )
    image = stocked.one("style", steps=None, sampler=None)
    used = image.kept.settings
    assert (used.steps, used.cfg, used.sampler, used.clip_skip) == (2, 4.5, "Heun", 2)
    assert {one.role: one.weight for one in image.kept.files}["lora"] == 0.6
    assert "as the page of style.safetensors recommends" in texts(stocked)
    other = stocked.one("style", steps=1, recommended=False)
    assert (other.kept.settings.steps, other.kept.settings.clip_skip) == (1, 1)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"steps": 0}, "0 steps"),
        ({"width": 65}, "divisible by 8"),
        ({"cfg": float("nan")}, "CFG"),
        ({"clip_skip": 99}, "clip skip"),
        ({"seed": -2}, "seed"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_read(
    studio: Studio, wishes: dict[str, float], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        studio.render("nothing", **wishes)
    assert studio.told == []


def test_a_random_seed_is_drawn_once_for_all_pictures(stocked: Studio) -> None:
    report = stocked.render("base", seed=-1, compare=("cfg=2,3",))
    seeds = {one.kept.settings.seed for one in report.made}
    assert len(seeds) == 1
    assert seeds.pop() >= 0


def test_files_are_meant_by_name_and_one_at_a_time(stocked: Studio) -> None:
    with pytest.raises(UnknownFile):
        stocked.render("unheard of")
    with pytest.raises(AmbiguousFile, match="means 4 files, and one is needed"):
        stocked.render("style", on=str(stocked.root / "*.safetensors"))
