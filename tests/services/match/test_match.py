from __future__ import annotations

import json
import struct
import threading
from pathlib import Path

import pytest

from modelhub.demo.catalogue import ANIVERSE, LORA, LORA_VERSION, SAKUSHIMIX, SAKUSHIMIX_FINAL
from modelhub.demo.hub import Fault
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion
from modelhub.errors import Cancelled, QuerySyntaxError, RateLimited
from modelhub.progress import Outcome, TaskFinished

from .conftest import LORA_FILE, Desk


def other_metadata(path: Path) -> bytes:
    """The safetensors file at `path` with the same data and other metadata."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = {"edited": "by hand"}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content[8 + length :]


def test_what_civitai_publishes_is_recognised_whatever_its_name(desk: Desk) -> None:
    desk.put("loras/renamed by me.safetensors")
    desk.put("unknown.safetensors", b"something of my own")

    report = desk.match()

    assert (report.asked, report.found, report.not_found, report.new) == (2, 1, 1, 1)
    (found,) = report.described
    assert (found.model_id, found.version_id, found.matched_by) == (LORA, LORA_VERSION, "SHA256")
    assert found.paths == (str(desk.folder / "loras/renamed by me.safetensors"),)
    details = desk.show("loras/renamed by me.safetensors")
    assert details.row.model_name == "Ink Wash Lines"
    assert details.row.creator == "demo-brush"
    assert details.trigger_words == ("inkwash style", "thin lines, rice paper")
    assert details.publications[0].published_tags == ("style", "ink")
    assert [event.text for event in details.events] == ["recognised as “Ink Wash Lines” v1.0"]


def test_a_library_is_matched_with_few_questions(desk: Desk) -> None:
    for number in range(30):
        desk.put(f"mine {number}.bin", b"mine %d" % number)
    for model in (desk.hub.shelf.model(SAKUSHIMIX), desk.hub.shelf.model(ANIVERSE)):
        assert model is not None
        for version in model.versions:
            stored = desk.hub.stored(version.files[0].id)
            desk.put(f"{version.id}.safetensors", stored.path)
    desk.put("lora.safetensors")

    report = desk.match()

    assert report.found == len({one.sha256 for one in report.described}) >= 4
    assert report.not_found == 30
    assert desk.asked() == [
        "/api/v1/model-versions/by-hash/ids",
        "/api/v1/model-versions/by-hash",
        "/api/v1/models",
    ]
    row = desk.show(f"{SAKUSHIMIX_FINAL}.safetensors").row
    assert (row.model_name, row.base) == ("SakushiMix (finished)", "SD 1.5")


def test_what_was_asked_is_not_asked_again_until_its_time(desk: Desk) -> None:
    desk.put("lora.safetensors")
    desk.put("mine.bin", b"mine")
    desk.match()
    desk.hub.forget_requests()

    assert desk.match().asked == 0
    assert desk.asked() == []
    desk.set(retry_after=0)
    report = desk.match()
    assert (report.asked, report.found, report.not_found) == (1, 0, 1)


def test_again_asks_about_all_and_counts_only_news_as_new(desk: Desk) -> None:
    desk.put("lora.safetensors")
    desk.put("mine.bin", b"mine")
    desk.match()
    report = desk.match(again=True)
    assert (report.asked, report.found, report.not_found, report.new) == (2, 1, 1, 0)
    assert len([one for one in desk.show("lora.safetensors").events if one.kind == "matched"]) == 1


def test_a_query_narrows_down_what_is_asked_about(desk: Desk) -> None:
    desk.put("loras/lora.safetensors")
    desk.put("mine.bin", b"mine")
    report = desk.match("path:loras/")
    assert (report.asked, report.found) == (1, 1)
    assert desk.match("path:nowhere/").asked == 0
    with pytest.raises(QuerySyntaxError):
        desk.match("colour:red")


def test_copies_are_asked_about_once_and_all_described(desk: Desk) -> None:
    desk.put("a.safetensors")
    desk.put("b.safetensors")
    report = desk.match()
    assert (report.asked, report.found) == (1, 1)
    assert len(report.described[0].paths) == 2
    assert desk.show("b.safetensors").row.model_id == LORA


def test_files_that_were_not_hashed_are_counted(desk: Desk) -> None:
    from modelhub.catalog import LocalFileRecord

    path = desk.folder / "new.safetensors"
    path.write_bytes(b"new")
    desk.catalog.record_local_file(LocalFileRecord.of(desk.folder, path, stat=path.stat()))
    report = desk.match()
    assert (report.asked, report.unhashed) == (0, 1)


def test_a_file_with_edited_metadata_is_recognised_by_its_tensors(desk: Desk) -> None:
    sha256 = desk.put("lora.safetensors", other_metadata(desk.hub.stored(LORA_FILE).path))

    report = desk.match()

    assert (report.asked, report.found, report.not_found, report.by_tensors) == (1, 1, 0, 1)
    details = desk.show("lora.safetensors")
    assert details.row.version_id == LORA_VERSION
    assert details.row.sha256 == sha256
    assert "by its tensors" in details.events[0].text
    assert desk.match().asked == 0


def test_only_so_many_are_asked_by_tensors_and_the_rest_next_time(desk: Desk) -> None:
    source = desk.hub.stored(LORA_FILE).path
    desk.put("lora.safetensors", other_metadata(source))
    desk.put("other.safetensors", other_metadata(source).replace(b"by hand", b"by foot"))
    desk.set(by_tensors=1)
    first = desk.match()
    assert (first.found, first.left) == (1, 1)
    second = desk.match()
    assert (second.asked, second.found, second.left) == (1, 1, 0)


def test_an_archived_models_file_is_described_all_the_same(desk: Desk) -> None:
    content = b"archived weights"
    model = desk.hub.publish(
        PublishedModel(
            name="Kept In The Archive",
            versions=[
                PublishedVersion(
                    name="v1", files=[PublishedFile(name="kept.safetensors", content=content)]
                )
            ],
        )
    )
    desk.put("kept.safetensors", content)
    desk.match()
    model.mode = "Archived"
    desk.put("other name.safetensors", content)
    desk.match(again=True)
    for name in ("kept.safetensors", "other name.safetensors"):
        assert desk.show(name).row.model_name == "Kept In The Archive"


def test_a_listing_of_models_that_fails_leaves_the_versions_own_words(desk: Desk) -> None:
    desk.hub.faults.add(Fault(kind="wrong_shape", path="/api/v1/models", times=None))
    desk.put("lora.safetensors")
    report = desk.match()
    assert report.stopped is None
    row = desk.show("lora.safetensors").row
    assert (row.model_name, row.creator) == ("Ink Wash Lines", None)


def test_what_was_answered_before_the_server_gave_up_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelhub.services.match.ask._AT_ONCE", 1)
    desk.config = type(desk.config)(
        catalog=desk.config.catalog,
        civitai=type(desk.config.civitai)(url=desk.hub.url, retries=0, max_wait=0.1, cache=False),
    )
    desk.put("lora.safetensors")
    desk.put("mine.bin", b"mine")
    limited = Fault(kind="rate_limit", path="by-hash/ids", times=None, skip=1, retry_after=60)
    desk.hub.faults.add(limited)

    report = desk.match()

    assert isinstance(report.stopped, RateLimited)
    assert report.asked == 1
    finished = [event for event in desk.events if isinstance(event, TaskFinished)]
    assert [event.outcome for event in finished] == [Outcome.FAILED]
    desk.hub.faults.clear()
    rest = desk.match()
    assert (rest.asked, rest.stopped) == (1, None)
    assert report.found + rest.found == 1


def test_a_cancelled_match_says_so(desk: Desk) -> None:
    desk.put("lora.safetensors")
    cancel = threading.Event()
    cancel.set()
    report = desk.match(cancel=cancel)
    assert isinstance(report.stopped, Cancelled)


def test_an_answer_about_other_files_describes_nothing(desk: Desk) -> None:
    desk.hub.faults.add(Fault(kind="wrong_hash", path="/model-versions/by-hash", times=None))
    desk.put("lora.safetensors")
    desk.set(by_tensors=0)
    report = desk.match()
    assert report.found == 0
    assert desk.show("lora.safetensors").publications == ()
