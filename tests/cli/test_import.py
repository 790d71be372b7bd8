from __future__ import annotations

import json
from pathlib import Path

from modelhub.demo.hub import DemoHub

from .conftest import Cli
from .test_export import tagged

__all__ = ["tagged"]


def test_what_was_exported_is_imported_into_another_catalog(
    tagged: Path, cli: Cli, tmp_path: Path, hub: DemoHub
) -> None:
    words = tmp_path / "words.jsonl"
    cli("export", str(words))
    assert cli("untag", "ink", "style").code == 0
    assert cli("import", str(words), "--dry-run").out == "1 file read, 1 would change\n"
    assert "style" not in cli("list").out
    assert cli("import", str(words)).out == "1 file read, 1 changed\n"
    assert "style" in cli("list").out
    document = json.loads(cli("import", str(words), "--json").out)
    assert document == {"lines": 1, "changed": 0, "waiting": 0, "dry_run": False}


def test_what_is_here_is_replaced_only_when_asked(tagged: Path, cli: Cli, tmp_path: Path) -> None:
    words = tmp_path / "words.jsonl"
    cli("export", str(words))
    cli("note", "ink", "better")
    cli("import", str(words))
    assert cli("note", "ink").out == "better\n"
    cli("import", str(words), "--replace")
    assert cli("note", "ink").out == "30 steps\n"


def test_a_malformed_line_is_named_and_nothing_is_imported(
    cli: Cli, home: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.jsonl"
    words.write_text('{"modelhub": "user words", "version": 1}\n{"sha256": "?"}\n')
    ended = cli("import", str(words))
    assert (ended.code, ended.out) == (2, "")
    assert "line 2: " in ended.err
    assert "nothing was imported" in ended.err


def test_a_file_that_is_not_there_is_an_error(cli: Cli, home: Path, tmp_path: Path) -> None:
    assert cli("import", str(tmp_path / "no.jsonl")).code == 7
    assert cli("import", str(tmp_path)).code == 7


def test_words_for_files_that_are_not_here_wait(cli: Cli, home: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.jsonl"
    line = json.dumps({"sha256": "A" * 64, "rating": 5})
    words.write_text(f'{{"modelhub": "user words", "version": 1}}\n{line}\n')
    out = cli("import", str(words)).out
    assert out == "1 file read, 1 changed, 1 of them not here: their words wait\n"
