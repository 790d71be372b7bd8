from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from modelhub.demo.hub import Fault

from .conftest import Program

KEY = "secret-key-0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("pull", "99999999"), 3),
        (("pull", "no reference"), 2),
        (("pull", "910005"), 4),
        (("pull", "910004"), 6),
        (("pull", "78056", "--fp", "nf4"), 3),
        (("pull",), 2),
        (("pull", "99999999", "910005"), 1),
        (("list", "colour:red"), 2),
        (("show", "nothing-of-that-name"), 3),
        (("tag", "nothing-of-that-name", "x"), 3),
        (("rate", "x", "6"), 2),
    ],
)
def test_every_failure_has_its_exit_code_and_says_what_to_do(
    program: Program, arguments: tuple[str, ...], code: int
) -> None:
    ended = program.run(*arguments)

    assert ended.returncode == code, ended.stderr
    assert "modelhub: error:" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_server_out_of_reach_is_a_network_error(program: Program) -> None:
    program.variables |= {
        "MODELHUB_CIVITAI_URL": "http://127.0.0.1:9",
        "MODELHUB_CIVITAI_RETRIES": "0",
    }
    ended = program.run("pull", "78056")
    assert ended.returncode == 8
    assert "127.0.0.1:9" in ended.stderr


def test_bytes_that_are_not_the_published_ones_end_with_code_5(program: Program) -> None:
    program.hub.faults.add(Fault(kind="corrupt", offset=100_000, times=None))

    ended = program.run("pull", "910001")

    assert ended.returncode == 5
    assert not program.files()


@pytest.mark.parametrize("fault", ["html_page", "rate_limit", "server_error", "redirect_loop"])
def test_the_key_is_in_no_output_whatever_goes_wrong(program: Program, fault: str) -> None:
    program.hub.keys.add(KEY)
    program.variables |= {"CIVITAI_TOKEN": KEY, "MODELHUB_CIVITAI_MAX_WAIT": "1"}
    program.hub.faults.add(Fault(kind=fault, times=None, path="/download/"))

    ended = program.run("--debug", "pull", "910001")

    assert ended.returncode != 0
    assert KEY not in ended.stdout + ended.stderr
    assert "X-Amz-Signature" not in ended.stdout + ended.stderr
    for seen in program.hub.requests:
        assert KEY not in seen.path + str(seen.query)
        assert seen.server == "api" or "authorization" not in seen.headers


def test_what_was_pulled_can_be_listed_shown_tagged_and_found(program: Program) -> None:
    assert program.run("pull", "78056", "910001").returncode == 0
    assert program.run("tag", "ink-wash", "line art,mine").returncode == 0
    assert program.run("rate", "sakushimix", "5").returncode == 0
    assert program.run("note", "ink-wash", "at 0.7").returncode == 0

    tagged = json.loads(program.run("list", "tag:mine", "--json").stdout)
    rated = json.loads(program.run("list", "rating>=4", "--json").stdout)
    shown = json.loads(program.run("show", "ink-wash", "--json").stdout)

    assert [row["name"] for row in tagged] == ["ink-wash-lines.safetensors"]
    assert sorted(tagged[0]["tags"]) == ["line art", "mine"]
    assert [row["model_id"] for row in rated] == [78056]
    assert shown["note"] == "at 0.7"
    assert Path(shown["file"]).is_file()
    assert "inkwash style" in program.run("show", "ink-wash").stdout
    assert "untagged" not in program.run("untag", "ink-wash", "mine").stderr
    assert json.loads(program.run("list", "tag:mine", "--json").stdout) == []


def test_a_model_is_shown_before_it_is_pulled(program: Program) -> None:
    ended = program.run("show", "107842")

    assert ended.returncode == 0, ended.stderr
    for expected in ("AniVerse", "428028", "SHA256", "V1.0", "modelhub pull"):
        assert expected in ended.stdout


def test_a_search_marks_what_is_here(program: Program) -> None:
    program.run("pull", "910001")

    found = json.loads(program.run("search", "--nsfw", "--json", "--limit", "50").stdout)

    assert {model["model_id"] for model in found} >= {78056, 107842, 910001}
    assert [model["model_id"] for model in found if model["here"]] == [910001]


def test_pull_answers_in_json_with_failures_among_it(program: Program) -> None:
    ended = program.run("pull", "910001", "99999999", "--json")

    document = json.loads(ended.stdout)
    assert [item["outcome"] for item in document] == ["done", "failed"]
    assert document[1]["error"]["exit_code"] == ended.returncode == 3


def test_references_come_from_files_and_standard_input(program: Program, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("# my list\n910001\n\nhttps://civitai.com/models/910002\n")

    ended = program.run("pull", f"@{wanted}", "--dry-run")

    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 2


def test_a_locked_catalog_is_told_and_the_file_is_recorded_by_the_next_pull(
    program: Program,
) -> None:
    assert program.run("list").returncode == 0
    program.variables["MODELHUB_CATALOG_BUSY_TIMEOUT"] = "0.5"
    catalog = program.folder / "home" / "data" / "catalog.db"
    other = sqlite3.connect(catalog, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    locked = program.run("pull", "910001")
    other.execute("ROLLBACK")
    other.close()

    assert locked.returncode == 1
    assert "catalog" in locked.stderr
    again = program.run("pull", "910001")
    assert again.returncode == 0, again.stderr
    assert "already here" in again.stderr
    assert program.run("list", "--count").stdout.strip() == "1"


def test_a_damaged_catalog_is_told_and_left_alone(program: Program) -> None:
    program.run("pull", "910001")
    catalog = program.folder / "home" / "data" / "catalog.db"
    for leftover in catalog.parent.glob("catalog.db-*"):
        leftover.unlink()
    catalog.write_bytes(b"this is no database" * 1000)

    ended = program.run("list")

    assert ended.returncode == 1
    assert str(catalog) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert catalog.read_bytes().startswith(b"this is no database")
    assert program.run("doctor", "--offline").returncode == 1


def test_doctor_finds_all_well(program: Program) -> None:
    program.run("pull", "910001")

    ended = program.run("doctor")

    assert ended.returncode == 0, ended.stdout
    assert "Catalog" in ended.stdout
    assert program.hub.url in ended.stdout


def test_a_typo_in_the_settings_is_named_with_its_line(program: Program, tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text('[library]\nlayout = "comfyui"\n\n[download]\nconections = 4\n')

    ended = program.run("--config", str(settings), "list")

    assert ended.returncode == 2
    assert f"{settings}:5" in ended.stderr
    assert "connections" in ended.stderr
