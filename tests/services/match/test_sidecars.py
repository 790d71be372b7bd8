from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from modelhub.demo.catalogue import LORA, LORA_VERSION
from modelhub.demo.hub import Fault
from modelhub.placement.sidecars import SidecarFacts, write_sidecars
from modelhub.services.match import import_sidecars, import_sidecars_beside

from .conftest import Desk

A1111 = {
    "description": "from a friend",
    "activation text": "inkwash style, my own words",
    "preferred weight": 0.7,
    "negative text": "colour",
    "notes": "30 steps",
}


def test_what_the_user_wrote_in_sidecars_is_imported(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.json", A1111)
    desk.beside("ink.txt", "found on a forum\n")

    report = desk.sidecars()

    assert (report.files, report.words, report.notices) == (1, 1, [])
    details = desk.show("ink.safetensors")
    assert details.note == "from a friend\n\n30 steps\n\nfound on a forum"
    assert details.own_trigger_words == ("inkwash style", "my own words")
    assert details.user_values == {"preferred_weight": "0.7", "negative_text": "colour"}


def test_importing_twice_changes_nothing(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.json", A1111)
    desk.beside("ink.civitai.info", desk.answer())
    desk.sidecars()
    before = desk.show("ink.safetensors")
    again = desk.sidecars()
    assert (again.words, again.described) == (0, 0)
    assert desk.show("ink.safetensors") == before


def test_what_the_user_wrote_here_is_never_overwritten_by_a_sidecar(desk: Desk) -> None:
    desk.put("ink.safetensors")
    row = desk.show("ink.safetensors").row
    desk.catalog.note([row.id], "mine")
    desk.catalog.set_trigger_words([row.id], ["first"])
    desk.beside("ink.json", A1111)
    desk.sidecars()
    details = desk.show("ink.safetensors")
    assert details.note == "mine"
    assert details.own_trigger_words[0] == "first"


def test_what_the_user_took_off_does_not_come_back(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.metadata.json", {"from_civitai": False, "tags": ["old"], "notes": "n"})
    desk.sidecars()
    row = desk.show("ink.safetensors").row
    assert row.tags == ("old",)
    desk.catalog.untag([row.id], ["old"])
    desk.catalog.note([row.id], None)
    desk.sidecars()
    assert desk.show("ink.safetensors").row.tags == ()
    assert desk.show("ink.safetensors").note is None


def test_a_proven_civitai_info_describes_its_model_without_the_network(desk: Desk) -> None:
    answer = desk.answer()
    desk.put("ink.safetensors")
    desk.beside("ink.civitai.info", answer)
    os.utime(desk.folder / "ink.civitai.info", (1_700_000_000, 1_700_000_000))
    desk.hub.faults.add(Fault(kind="server_error", times=None))

    report = desk.match()

    assert (report.stopped, report.asked, report.sidecars.described) == (None, 0, 1)
    assert desk.asked() == []
    details = desk.show("ink.safetensors")
    assert (details.row.model_id, details.row.version_id) == (LORA, LORA_VERSION)
    assert details.row.creator == "demo-brush"
    assert details.trigger_words == ("inkwash style", "thin lines, rice paper")
    assert details.publications[0].published_tags == ("style", "ink")
    kept = desk.catalog.raw_answer(version_id=LORA_VERSION)
    assert kept is not None
    assert kept[1] == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_sidecar_that_lies_is_noted_and_not_believed(desk: Desk) -> None:
    desk.put("mine.safetensors", b"something else")
    desk.beside("mine.civitai.info", desk.answer())
    report = desk.sidecars()
    assert report.described == 0
    assert (
        "describes version 910101, and none of its files is mine.safetensors" in report.notices[0]
    )
    assert desk.show("mine.safetensors").publications == ()


def test_a_sidecar_describes_the_file_beside_it_and_no_other(desk: Desk) -> None:
    answer = desk.answer()
    desk.put("ink.safetensors")
    victim = desk.put("other.safetensors", b"another file")
    forged = answer["files"][0] | {"id": 1, "hashes": {"SHA256": victim}}
    desk.beside("ink.civitai.info", answer | {"files": [*answer["files"], forged]})
    assert desk.sidecars().described == 1
    assert desk.show("other.safetensors").publications == ()


def test_a_sidecar_without_a_hash_is_a_claim_only(desk: Desk) -> None:
    answer = desk.answer()
    for file in answer["files"]:
        del file["hashes"]
    desk.put("ink.safetensors")
    desk.beside("ink.civitai.info", answer)
    report = desk.sidecars()
    assert (report.described, report.unproven) == (0, 1)
    assert desk.show("ink.safetensors").publications == ()


@pytest.mark.parametrize("kind", ["civitai.info", "lora-manager", "stability-matrix"])
def test_what_we_wrote_for_another_tool_describes_a_copy_of_the_library(
    desk: Desk, kind: str
) -> None:
    answer = desk.answer()
    sha256 = desk.put("ink.safetensors")
    facts = SidecarFacts(
        path=desk.folder / "ink.safetensors",
        size=1,
        sha256=sha256,
        version=answer,
        model={"id": LORA, "name": "Ink Wash Lines", "type": "LORA", **answer["model"]},
        file=answer["files"][0],
    )
    write_sidecars(facts, [kind, "a1111"])  # type: ignore[list-item]
    report = desk.sidecars()
    assert (report.described, report.words, report.notices) == (1, 0, [])
    details = desk.show("ink.safetensors")
    assert details.row.model_name == "Ink Wash Lines"
    assert details.publications[0].remote_file_id == answer["files"][0]["id"]
    assert (details.note, details.own_trigger_words, details.user_values) == (None, (), {})


def test_what_civitai_said_itself_is_not_replaced_by_an_older_sidecar(desk: Desk) -> None:
    old = desk.answer()
    desk.put("ink.safetensors")
    desk.match()
    desk.beside("ink.civitai.info", old | {"name": "an old name", "trainedWords": ["old"]})
    report = desk.sidecars()
    assert report.described == 0
    assert desk.show("ink.safetensors").row.version_name == "v1.0"
    assert "old" not in desk.show("ink.safetensors").trigger_words


def test_a_sidecar_of_a_wrong_shape_is_left_alone_and_named(desk: Desk) -> None:
    answer = desk.answer() | {"name": ["no", "name"]}
    desk.put("ink.safetensors")
    desk.beside("ink.civitai.info", answer)
    desk.beside("ink.json", A1111)
    report = desk.sidecars()
    assert report.words == 1
    (notice,) = report.notices
    assert "ink.civitai.info" in notice
    assert "$.name" in notice


def test_damaged_sidecars_harm_no_others(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        desk.put(f"{name}.safetensors", name.encode())
    desk.beside("a.json", "{")
    os.mkfifo(desk.folder / "b.json")
    desk.beside("c.json", A1111)
    report = desk.sidecars()
    assert (report.words, len(report.notices)) == (1, 2)
    assert desk.show("c.safetensors").note is not None


def test_nothing_is_written_beside_the_models(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.json", A1111)
    before = {path: path.stat() for path in desk.folder.rglob("*")}
    desk.match()
    after = {path: path.stat() for path in desk.folder.rglob("*")}
    assert {p: s.st_mtime_ns for p, s in before.items()} == {
        p: s.st_mtime_ns for p, s in after.items()
    }


def test_files_just_hashed_bring_their_sidecars_by_path(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.put(f"{name}.safetensors", name.encode())
    desk.beside("b.json", A1111)
    paths = [desk.folder / name for name in ("a.safetensors", "b.safetensors", "gone.safetensors")]
    report = import_sidecars_beside(paths, catalog=desk.catalog)
    assert (report.files, report.words) == (1, 1)
    assert desk.show("b.safetensors").note == "from a friend\n\n30 steps"


def test_a_file_that_is_not_hashed_keeps_its_sidecars_for_later(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.json", A1111)
    (row,) = desk.catalog.list_files()
    report = import_sidecars([replace(row, sha256=None)], catalog=desk.catalog)
    assert report.files == 0


def test_words_that_turn_out_to_be_civitais_are_not_the_users(desk: Desk) -> None:
    desk.put("ink.safetensors")
    copied = {
        "description": desk.answer()["model"]["description"],
        "activation text": "inkwash style, thin lines, rice paper, mine",
        "sd version": "SD1",
        "notes": "30 steps",
    }
    desk.beside("ink.json", copied)
    desk.sidecars()
    before = desk.show("ink.safetensors")
    assert before.note is not None
    assert "inkwash" in before.note
    assert before.user_values == {"sd_version": "SD1"}

    desk.match()

    details = desk.show("ink.safetensors")
    assert details.note == "30 steps"
    assert details.own_trigger_words == ("mine",)
    assert details.user_values == {}
    assert details.trigger_words == ("inkwash style", "thin lines, rice paper")


def test_a_note_that_the_user_changed_is_theirs_whatever_it_came_from(desk: Desk) -> None:
    desk.put("ink.safetensors")
    desk.beside("ink.json", {"description": desk.answer()["model"]["description"]})
    desk.sidecars()
    row = desk.show("ink.safetensors").row
    desk.catalog.note([row.id], "Use it at 0.8, I say")
    desk.match()
    assert desk.show("ink.safetensors").note == "Use it at 0.8, I say"


def test_words_edited_in_lora_manager_are_taken_up_once_civitais_are_known(desk: Desk) -> None:
    answer = desk.answer() | {"trainedWords": ["inkwash style", "my own"]}
    for file in answer["files"]:
        del file["hashes"]
    desk.put("ink.safetensors")
    desk.beside("ink.metadata.json", {"file_name": "ink", "civitai": answer})
    report = desk.match()
    assert report.sidecars.words == 1
    assert desk.show("ink.safetensors").own_trigger_words == ("my own",)
