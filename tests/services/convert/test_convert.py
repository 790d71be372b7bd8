from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog import FileState
from modelhub.convert.options import Ema, Extract, Precision, Target
from modelhub.demo.weights.files import system_call
from modelhub.errors import (
    Cancelled,
    FileUnreadable,
    NameTaken,
    UnknownFile,
    UnsafeFileError,
)
from modelhub.formats.hashes import hash_file
from modelhub.formats.reading import read_header
from modelhub.progress import Advanced, Event, Outcome, Stage, StageEntered, TaskFinished
from modelhub.services.convert import ConvertedFile, FailedConversion
from tests.formats.quantised import write_gguf

from .conftest import Bench

FP16 = Precision.FP16


def sha256(path: Path) -> str:
    return hash_file(path, {"sha256"}).sha256


def test_a_checkpoint_becomes_a_catalogued_file_that_names_its_source(bench: Bench) -> None:
    source = bench.put_checkpoint()
    before = sha256(source)
    bench.library.index()

    done = bench.converted(source, dtype=FP16, prune=True)

    assert done.outcome is Outcome.DONE
    assert done.path == bench.root / "model-pruned-fp16.safetensors"
    assert bench.files() == ["model-pruned-fp16.safetensors", "model.ckpt"]
    assert (done.sha256, done.source_sha256) == (sha256(done.path), before)
    assert sha256(source) == before, "the source is as it was"
    header = read_header(done.path)
    assert not any(name.startswith("model_ema") for name in header.tensors)
    assert {one.dtype for one in header.tensors.values()} == {"F16", "I64"}
    assert header.metadata["modelhub.source_sha256"] == before.lower()
    assert header.metadata["modelhub.origin_sha256"] == before.lower()
    assert header.metadata["modelhub.operation"] == done.operation
    row = bench.library.row("model-pruned-fp16.safetensors")
    assert (row.state, row.sha256, row.type) == (FileState.HASHED, done.sha256, "checkpoint")
    details = bench.library.catalog.show(row.id)
    [made_from] = details.made_from
    assert (made_from.sha256, made_from.operation) == (before, done.operation)
    assert details.hashes.keys() >= {"SHA256", "BLAKE3", "CRC32", "AutoV2", "AutoV3"}
    bench.library.index()
    assert bench.library.row("model-pruned-fp16.safetensors") == row, "index finds nothing new"


def test_a_quantised_gguf_file_becomes_the_numbers_that_it_stands_for(bench: Bench) -> None:
    numbers = np.random.default_rng(1).standard_normal((64, 32)).astype(np.float32)
    told = write_gguf(bench.root / "unet.gguf", {"input_blocks.0.0.weight": numbers}, "Q5_1")
    done = bench.converted(bench.root / "unet.gguf", dtype=FP16)
    header = read_header(done.path)
    assert {name: one.dtype for name, one in header.tensors.items()} == {
        "input_blocks.0.0.weight": "F16"
    }
    data = done.path.read_bytes()[header.data_start :]
    assert data == told["input_blocks.0.0.weight"].astype(np.float16).tobytes()


def test_a_source_that_was_never_hashed_is_hashed_while_it_is_written(bench: Bench) -> None:
    source = bench.put_checkpoint()
    done = bench.converted(source)
    assert done.source_sha256 == sha256(source)
    assert read_header(done.path).metadata["modelhub.source_sha256"] == sha256(source).lower()
    again = bench.converted(done.path, dtype=FP16)
    chained = read_header(again.path).metadata
    assert chained["modelhub.source_sha256"] == done.sha256.lower() if done.sha256 else False
    assert chained["modelhub.origin_sha256"] == sha256(source).lower(), "the first of the row"


def test_the_result_inherits_what_the_user_wrote(bench: Bench) -> None:
    source = bench.put_checkpoint()
    bench.library.index()
    catalog = bench.library.catalog
    mine = [bench.library.row("model.ckpt").id]
    catalog.tag(mine, ["favourite"])
    catalog.rate(mine, 5)
    catalog.note(mine, "the good one")
    bench.converted(source, dtype=FP16)
    row = bench.library.row("model-fp16.safetensors")
    assert (row.tags, row.rating) == (("favourite",), 5)
    assert catalog.show(row.id).note == "the good one"


def test_a_result_outside_every_root_is_not_catalogued(bench: Bench, tmp_path: Path) -> None:
    source = bench.put_checkpoint()
    bench.library.index()
    done = bench.converted(source, output=tmp_path / "away", output_is_folder=True)
    assert done.path == tmp_path / "away" / "model.safetensors"
    assert not done.recorded
    assert [row.name for row in bench.library.rows()] == ["model.ckpt"]


def test_a_folder_that_becomes_a_root_meanwhile_gets_a_result_with_all_hashes(bench: Bench) -> None:
    source = bench.put_checkpoint()

    def make_it_a_root(event: Event) -> None:
        if isinstance(event, StageEntered) and event.stage is Stage.VERIFY:
            bench.library.catalog.add_root(bench.root)

    bench.told = _Told(make_it_a_root)
    done = bench.converted(source, dtype=FP16)
    assert done.recorded
    details = bench.library.catalog.show(bench.library.row("model-fp16.safetensors").id)
    hashes = hash_file(done.path)
    assert (details.hashes["SHA256"], details.hashes["BLAKE3"]) == (hashes.sha256, hashes.blake3)
    assert (details.hashes["CRC32"], details.hashes["AutoV3"]) == (hashes.crc32, hashes.autov3)


def test_the_same_result_asked_twice_is_made_once(bench: Bench) -> None:
    source = bench.put_checkpoint()
    first = bench.converted(source, dtype=FP16)
    written = os.stat(first.path).st_mtime_ns  # noqa: PTH116
    second = bench.converted(source, dtype=FP16)
    assert (second.outcome, second.path) == (Outcome.PRESENT, first.path)
    assert os.stat(first.path).st_mtime_ns == written  # noqa: PTH116


def test_a_result_that_was_made_and_not_recorded_is_recorded_by_the_next_run(bench: Bench) -> None:
    source = bench.put_checkpoint()
    outside = bench.converted(source, dtype=FP16)
    assert not outside.recorded, "there is no root yet"
    bench.library.index(hash=False)
    bench.library.catalog.forget([row.id for row in bench.library.rows()])
    again = bench.converted(source, dtype=FP16)
    assert again.outcome is Outcome.PRESENT
    assert again.recorded
    row = bench.library.row("model-fp16.safetensors")
    assert [one.sha256 for one in bench.library.catalog.show(row.id).made_from] == [sha256(source)]


def test_another_file_of_that_name_is_left_as_it_is(bench: Bench) -> None:
    source = bench.put_checkpoint()
    taken = bench.root / "model-fp16.safetensors"
    taken.write_bytes(b"mine")
    with pytest.raises(NameTaken) as caught:
        bench.converted(source, dtype=FP16)
    assert "--output" in caught.value.hint
    assert taken.read_bytes() == b"mine"
    other = bench.put_checkpoint("other.ckpt", seed=8)
    bench.converted(source, output=bench.root / "result.safetensors")
    with pytest.raises(NameTaken):
        bench.converted(other, output=bench.root / "result.safetensors")


def test_a_dangling_link_at_the_name_is_a_taken_name(bench: Bench) -> None:
    source = bench.put_checkpoint()
    (bench.root / "model.safetensors").symlink_to("/nowhere/at/all")
    with pytest.raises(NameTaken):
        bench.converted(source)


def test_a_file_that_is_as_asked_already_is_left_alone(bench: Bench) -> None:
    source = bench.put_checkpoint("model.safetensors", ema=False, dtype="F16")
    done = bench.converted(source, dtype=FP16)
    assert (done.outcome, done.path) == (Outcome.PRESENT, source)
    assert bench.files() == ["model.safetensors"]
    assert not bench.planned(source, dtype=FP16).changes


def test_one_file_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    good, bad = bench.put_checkpoint(), bench.root / "bad.ckpt"
    bad.write_bytes(b"PK\x03\x04 nothing")
    gone = bench.root / "gone.ckpt"
    outcomes = bench.outcomes(bad, gone, good, dtype=FP16)
    assert [type(one) for one in outcomes] == [FailedConversion, FailedConversion, ConvertedFile]
    assert isinstance(outcomes[1], FailedConversion)
    assert isinstance(outcomes[1].error, UnknownFile)
    ended = [event.outcome for event in bench.told if isinstance(event, TaskFinished)]
    assert ended == [Outcome.FAILED, Outcome.FAILED, Outcome.DONE]


def test_ctrl_c_leaves_nothing_and_begins_no_other(bench: Bench) -> None:
    sources = [bench.put_checkpoint(f"{number}.ckpt", seed=number) for number in range(3)]
    stages: list[Stage] = []

    def stop_in_the_middle(event: Event) -> None:
        if isinstance(event, StageEntered):
            stages.append(event.stage)
        if isinstance(event, Advanced) and stages[-1] is Stage.CONVERT and event.done:
            bench.cancel.set()

    bench.told = _Told(stop_in_the_middle)
    outcomes = bench.outcomes(*sources)
    assert [type(one) for one in outcomes] == [FailedConversion] * 3
    assert all(isinstance(one.error, Cancelled) for one in outcomes if hasattr(one, "error"))
    assert stages.count(Stage.CONVERT) == 1
    assert bench.files() == ["0.ckpt", "1.ckpt", "2.ckpt"]


class _Told(list[Event]):
    """Hands each event on, and keeps none."""

    def __init__(self, listener: object) -> None:
        super().__init__()
        self.listener = listener

    def append(self, event: Event) -> None:
        assert callable(self.listener)
        self.listener(event)


def test_progress_is_in_bytes_of_the_result(bench: Bench) -> None:
    source = bench.put_checkpoint()
    done = bench.converted(source, dtype=FP16)
    stage, ends = None, {}
    for event in bench.told:
        if isinstance(event, StageEntered):
            stage = event.stage
        elif isinstance(event, Advanced):
            ends[stage] = (event.done, event.total)
    tensors = read_header(done.path).tensors.values()
    weights = sum(one.data_offsets[1] - one.data_offsets[0] for one in tensors)
    assert ends[Stage.CONVERT] == (weights, weights)
    written, total = ends[Stage.VERIFY]
    assert written == total


def test_a_source_that_changes_while_it_is_read_makes_no_result(bench: Bench) -> None:
    source = bench.put_checkpoint()

    def write_into_it(event: Event) -> None:
        if isinstance(event, StageEntered) and event.stage is Stage.VERIFY:
            with source.open("r+b") as stream:
                stream.seek(-1, os.SEEK_END)
                stream.write(b"\0")

    bench.told = _Told(write_into_it)
    with pytest.raises(FileUnreadable, match="changed"):
        bench.converted(source)
    assert bench.files() == ["model.ckpt"]


def test_a_dangerous_file_is_refused_and_runs_nothing_even_when_allowed(bench: Bench) -> None:
    canary = bench.root.parent / "canary"
    before = system_call(f"touch {canary}") + b"0"
    source = bench.put_checkpoint("evil.ckpt", ema=False, before=before[:-1])
    with pytest.raises(UnsafeFileError, match="system"):
        bench.converted(source)
    assert bench.files() == ["evil.ckpt"]
    done = bench.converted(source, allow_unsafe=True)
    assert any("dangerous and allowed" in text for text in done.notices)
    assert not canary.exists()


def test_a_dangerous_file_that_would_go_in_is_refused_too(bench: Bench) -> None:
    source = bench.put_checkpoint(ema=False)
    evil = bench.put_checkpoint("evil.ckpt", ema=False, before=system_call("true"))
    with pytest.raises(UnsafeFileError, match=r"evil\.ckpt"):
        bench.converted(source, vae=evil)
    assert bench.planned(source, vae=evil, allow_unsafe=True).summary.added.tensors > 0


def test_a_source_is_deleted_only_after_its_result_is_verified(bench: Bench) -> None:
    source = bench.put_checkpoint()
    bench.library.index()
    done = bench.converted(source, dtype=FP16, delete_source=True)
    assert done.deleted_source
    assert bench.files() == ["model-fp16.safetensors"]
    assert bench.library.states()["model.ckpt"] is FileState.MISSING
    [event] = bench.library.catalog.events(kinds=["deleted"])
    assert str(source) in event.text
    assert event.sha256 == done.source_sha256


def test_a_source_stays_where_the_conversion_fails(bench: Bench) -> None:
    source = bench.put_checkpoint()
    (bench.root / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(NameTaken):
        bench.converted(source, delete_source=True)
    assert source.exists()


def test_a_source_stays_where_its_result_was_not_verified_by_this_run(bench: Bench) -> None:
    source = bench.put_checkpoint()
    bench.converted(source)
    again = bench.converted(source, delete_source=True)
    assert again.outcome is Outcome.PRESENT
    assert "was not deleted" in again.notices[-1]
    link = bench.root / "link.ckpt"
    link.symlink_to(source)
    through = bench.converted(link, dtype=FP16, delete_source=True)
    assert "not one plain file" in through.notices[-1]
    assert source.exists()


def test_a_vae_that_goes_in_is_named_by_its_hash(bench: Bench) -> None:
    source, other = bench.put_checkpoint(ema=False), bench.put_checkpoint("other.ckpt", seed=9)
    vae = bench.converted(other, extract=Extract.VAE).path
    assert vae.name == "other.vae.safetensors"
    done = bench.converted(source, vae=vae, output=bench.root / "baked.safetensors")
    metadata = read_header(done.path).metadata
    assert metadata["modelhub.with_sha256"] == sha256(vae).lower()
    other_vae = bench.converted(source, extract=Extract.VAE).path
    with pytest.raises(NameTaken):
        bench.converted(source, vae=other_vae, output=bench.root / "baked.safetensors")


def test_a_checkpoint_goes_into_a_ckpt_and_is_found_again_by_the_catalog(bench: Bench) -> None:
    source = bench.put_checkpoint("model.safetensors", ema=False)
    bench.library.index()
    done = bench.converted(source, target=Target.CKPT)
    assert done.path.name == "model.ckpt"
    assert read_header(done.path).tensors.keys() == read_header(source).tensors.keys()
    assert bench.converted(source, target=Target.CKPT).outcome is Outcome.PRESENT
    other = bench.put_checkpoint("other.safetensors", ema=False, seed=3)
    with pytest.raises(NameTaken):
        bench.converted(other, target=Target.CKPT, output=done.path)


def test_a_folder_of_diffusers_and_back(bench: Bench) -> None:
    source = bench.put_checkpoint(ema=False)
    bench.library.index()
    folder = bench.converted(source, target=Target.DIFFUSERS)
    assert folder.path == bench.root / "model"
    assert (folder.path / "model_index.json").is_file()
    assert folder.recorded
    assert bench.converted(source, target=Target.DIFFUSERS).outcome is Outcome.PRESENT
    back = bench.converted(folder.path, output=bench.root / "back.safetensors")
    assert read_header(back.path).tensors.keys() == read_header(source).tensors.keys()


def test_a_plan_tells_what_becomes_of_every_tensor_and_writes_nothing(bench: Bench) -> None:
    source = bench.put_checkpoint()
    planned = bench.planned(source, dtype=FP16, prune=True)
    assert bench.files() == ["model.ckpt"]
    summary = planned.summary
    [cast] = summary.casts
    assert (cast.dtype, cast.into) == ("F32", "F16")
    assert cast.before == 2 * cast.after
    assert summary.dropped["EMA twin"].tensors == len(planned.dropped["EMA twin"])
    assert (planned.verdict, planned.overflows, planned.target_is_taken) == ("safe", (), False)
    done = bench.converted(source, dtype=FP16, prune=True)
    tensors = read_header(done.path).tensors.values()
    weights = sum(one.data_offsets[1] - one.data_offsets[0] for one in tensors)
    assert summary.after.nbytes == weights
    assert summary.operation == done.operation
    assert bench.planned(source, dtype=FP16, prune=True).target_is_taken


def test_a_plan_tells_the_size_to_the_byte(bench: Bench) -> None:
    source = bench.put_checkpoint(ema=False)
    vae = bench.converted(source, extract=Extract.VAE).path
    for wishes in (
        {"dtype": FP16},
        {"dtype": FP16, "target": Target.CKPT},
        {"extract": Extract.UNET},
        {"vae": vae, "dtype": FP16},
    ):
        planned, done = bench.planned(source, **wishes), bench.converted(source, **wishes)
        assert planned.size_after == done.size == done.path.stat().st_size, wishes
    again = bench.root / "model-fp16.safetensors"
    planned, done = bench.planned(again, prune=True), bench.converted(again, prune=True)
    assert planned.size_after == done.size, "of a result of ours, with its origin"
    assert bench.planned(source, target=Target.DIFFUSERS).size_after is None


def test_ema_weights_take_the_place_of_the_others(bench: Bench) -> None:
    source = bench.put_checkpoint()
    done = bench.converted(source, ema=Ema.SWAP)
    assert done.path.name == "model-ema.safetensors"
    assert not any(name.startswith("model_ema") for name in read_header(done.path).tensors)
