"""Writing about files that were indexed and not hashed yet."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Tensor
from tests.cli.conftest import Cli


def test_a_file_that_was_not_hashed_yet_is_hashed_before_it_is_tagged(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    write_safetensors(folder / "new.safetensors", [Tensor("emb_params", (4, 768))], 1, {})
    assert cli("index", str(folder), "--no-hash").code == 0
    [row] = json.loads(cli("list", "--json").out)
    assert row["sha256"] is None
    assert cli("tag", "new", "style").out == "new.safetensors: changed\n"
    assert cli("rate", "new", "4").out == "new.safetensors: changed\n"
    [row] = json.loads(cli("list", "tag:style", "--json").out)
    assert row["sha256"] == sha256((folder / "new.safetensors").read_bytes()).hexdigest().upper()
    assert (row["type"], row["rating"]) == ("embedding", 4)


def test_a_note_on_a_file_that_changed_since_it_was_indexed_is_refused(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "models" / "new.safetensors"
    file.parent.mkdir()
    write_safetensors(file, [Tensor("emb_params", (4, 768))], 1, {})
    assert cli("index", str(file.parent), "--no-hash").code == 0
    write_safetensors(file, [Tensor("emb_params", (5, 768))], 1, {})
    ended = cli("note", "new", "mine")
    assert (ended.code, ended.out) == (7, "")
    assert "changed since it was indexed" in ended.err
    assert cli("note", "new").out == ""
