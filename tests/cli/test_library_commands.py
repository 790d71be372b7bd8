"""The commands on a library, as a user meets them: against a hub with the demo models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.cli.commands import pull as pull_module
from modelhub.demo.faults import Fault
from modelhub.demo.hub import DemoHub
from modelhub.placement.layouts import LAYOUTS, TEMPLATE
from tests.cli.conftest import Cli
from tests.cli.terminal import on_terminal, read_all, read_until


@pytest.fixture
def shop(hub: DemoHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> DemoHub:
    """The hub with the demo models; the command line is pointed at it."""
    monkeypatch.setenv("MODELHUB_CIVITAI_URL", hub.url)
    monkeypatch.setenv("MODELHUB_CIVITAI_REQUESTS_PER_SECOND", "100")
    monkeypatch.setenv("MODELHUB_CIVITAI_RETRIES", "0")
    monkeypatch.setenv("MODELHUB_DOWNLOAD_MIN_FREE", "0")
    monkeypatch.setenv("MODELHUB_SIDECARS_PREVIEW", "false")
    return hub


@pytest.fixture
def lora(shop: DemoHub, cli: Cli) -> str:
    """The name of a LoRA in the library."""
    assert cli("-q", "pull", "910001").code == 0
    return "ink-wash-lines.safetensors"


def test_a_query_in_place_of_a_file_is_answered_with_the_option_for_it(lora: str, cli: Cli) -> None:
    ended = cli("tag", "creator:someone", "favourite")
    assert ended.code == 3
    assert "hint: put --query before it to search" in ended.err


def test_the_one_file_that_was_changed_is_named(lora: str, cli: Cli) -> None:
    assert cli("tag", "ink", "style").out == f"{lora}: changed\n"
    assert cli("tag", "ink", "style").out == f"{lora}: unchanged\n"
    assert cli("rate", "ink", "5").out == f"{lora}: changed\n"
    assert cli("untag", "--query", "tag:style", "style").out == f"{lora}: changed\n"


def test_a_note_says_whether_it_was_written_changed_or_there_at_all(lora: str, cli: Cli) -> None:
    assert cli("note", "ink", "--clear").out == f"{lora}: no note\n"
    assert cli("note", "ink", "-", stdin="30 steps\n").out == f"{lora}: note written\n"
    assert cli("note", "ink").out == "30 steps\n"
    assert cli("note", "ink", "30 steps").out == f"{lora}: note unchanged\n"
    assert cli("note", "ink", "").out == f"{lora}: note removed\n"


def test_an_editor_that_fails_leaves_the_note(
    lora: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("note", "ink", "kept")
    monkeypatch.setenv("EDITOR", "false")
    ended = cli("note", "ink", "--edit")
    assert (ended.code, ended.err) == (
        2,
        "modelhub: error: the editor false ended with code 1\n",
    )
    monkeypatch.setenv("EDITOR", "no-such-editor")
    assert "hint: set $VISUAL or $EDITOR" in cli("note", "ink", "--edit").err
    assert cli("note", "ink").out == "kept\n"
    monkeypatch.setenv("EDITOR", "sed -i s/kept/better/")
    assert cli("note", "ink", "--edit").out == f"{lora}: note written\n"
    assert cli("note", "ink").out == "better\n"


def test_a_list_past_its_end_does_not_call_the_catalog_empty(lora: str, cli: Cli) -> None:
    assert cli("list", "--offset", "5").err == "nothing after the first 5 files\n"
    assert cli("list", "no-such-word").err == "nothing found\n"


def test_a_table_leaves_out_empty_columns_and_csv_has_them_all(lora: str, cli: Cli) -> None:
    assert "RATING" not in cli("list").out
    assert "rating" in cli("list", "--format", "csv").out.splitlines()[0]
    cli("rate", "ink", "4")
    assert "RATING" in cli("list").out


def test_the_layouts_of_pull_are_those_that_there_are(shop: DemoHub, cli: Cli) -> None:
    assert set(pull_module._LAYOUTS) == {*LAYOUTS, TEMPLATE}
    ended = cli("pull", "910001", "--layout", "nope")
    assert ended.code == 2
    assert "invalid value for '--layout': 'nope'" in ended.err
    assert not shop.requests


def test_an_empty_root_is_refused_and_not_taken_for_the_default(shop: DemoHub, cli: Cli) -> None:
    ended = cli("pull", "910001", "--root", "")
    assert (ended.code, shop.requests) == (2, [])
    assert "--root is empty" in ended.err


def test_a_pull_of_an_empty_list_says_so(shop: DemoHub, cli: Cli) -> None:
    ended = cli("pull", "-", stdin="# nothing\n\n")
    assert ended.code == 0
    assert "nothing to pull" in ended.err
    assert json.loads(cli("pull", "-", "--json").out) == []


def test_search_asks_nothing_of_the_server_when_it_cannot_ask_the_user(
    shop: DemoHub, cli: Cli
) -> None:
    ended = cli("search", "--pull")
    assert (ended.code, ended.out, shop.requests) == (2, "", [])
    assert "hint: `modelhub pull ID` asks nothing" in ended.err


@pytest.mark.parametrize(
    ("typed", "shown"), [("²", "is not a number from 1 to 2"), ("1 1", "done")]
)
def test_what_is_typed_at_search_is_a_number_of_the_list(
    shop: DemoHub, typed: str, shown: str
) -> None:
    with on_terminal("-m", "modelhub", "search", "--limit", "2", "--pull") as (process, terminal):
        read_until(terminal, "none")
        os.write(terminal, f"{typed}\n".encode())
        text = read_all(terminal)
        process.wait()
    assert shown in text
    assert "unexpected" not in text
    assert text.count("SHA256 verified") == (typed == "1 1")


def test_a_file_without_a_name_is_shown_with_a_heading(shop: DemoHub, cli: Cli) -> None:
    assert "\n(no name)\n" in cli("show", "910010").out


def test_doctor_blames_the_key_when_it_is_the_key(
    shop: DemoHub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELHUB_CIVITAI_API_KEY", "0123456789abcdef0123456789abcdef")
    checks = json.loads(cli("doctor", "--json").out)
    assert [c["subject"] for c in checks if c["verdict"] == "failed"] == ["API key"]


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="needs setpriv")
def test_doctor_finds_a_library_that_cannot_be_written_to(tmp_path: Path, home: Path) -> None:
    library = tmp_path / "library"
    library.mkdir(mode=0o555)
    drop = ["--bounding-set=-dac_override"] if os.geteuid() == 0 else ["--no-new-privs"]
    done = subprocess.run(
        ["/usr/bin/setpriv", *drop, sys.executable, "-m", "modelhub", "doctor", "--offline"],
        env={**os.environ, "MODELHUB_LIBRARY_ROOT": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{library} cannot be written to" in done.stdout


def test_ctrl_c_in_several_pulls_is_said_once(shop: DemoHub, tmp_path: Path) -> None:
    # So slow that neither ends before the line is on the screen, however busy the machine.
    shop.faults.add(Fault(kind="slow", rate=2_000, times=None))
    with on_terminal("-m", "modelhub", "pull", "78056", "107842") as (process, terminal):
        read_until(terminal, "total, 0 of 2")
        os.write(terminal, b"\x03")
        text = read_all(terminal)
        code = process.wait()
    assert code == 130
    assert "2 of 2 pulls stopped before the end" in text
    assert text.count("hint:") == 1
