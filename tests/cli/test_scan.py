"""`modelhub scan`, and verdicts wherever files are shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.services.index.shelf import OLD, lora

from .conftest import Cli

DATA = Path(__file__).parents[1] / "data"
DANGEROUS = (DATA / "pickles" / "malicious0.pkl").read_bytes()
SUSPICIOUS = (DATA / "torch" / "script.pt").read_bytes()
SAFE = (DATA / "torch" / "zip.pt").read_bytes()


def _put(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(OLD, OLD))
    return file


@pytest.fixture
def root(cli: Cli, tmp_path: Path) -> Path:
    """An indexed library with a file of each verdict, and one without."""
    root = tmp_path / "models"
    _put(root / "evil.ckpt", DANGEROUS)
    _put(root / "odd.pt", SUSPICIOUS)
    _put(root / "good.pt", SAFE)
    _put(root / "plain.safetensors", lora(1))
    ended = cli("index", str(root))
    assert ended.code == 0
    assert "1 suspicious, 1 dangerous: `modelhub list unsafe:yes`" in ended.err
    assert f"{root / 'evil.ckpt'} is dangerous" in ended.err
    return root


def test_a_verdict_comes_with_what_it_is_for(cli: Cli, tmp_path: Path) -> None:
    file = _put(tmp_path / "evil.ckpt", DANGEROUS)
    ended = cli("scan", str(file))
    assert ended.code == 6
    assert f"{file}: dangerous" in ended.out
    assert "__builtin__.eval" in ended.out
    assert "dangerous: " in ended.out


@pytest.mark.parametrize(
    ("content", "code"), [(SAFE, 0), (SUSPICIOUS, 6), (DANGEROUS, 6), (lora(1), 0)]
)
def test_the_exit_code_tells_a_script(cli: Cli, tmp_path: Path, content: bytes, code: int) -> None:
    assert cli("scan", str(_put(tmp_path / "model.pt", content))).code == code


def test_a_folder_is_summed_up(cli: Cli, root: Path) -> None:
    ended = cli("scan", str(root))
    assert ended.code == 6
    assert "4 files: 1 safe, 1 suspicious, 1 dangerous, 1 that can carry no pickle" in ended.err
    assert "plain.safetensors" not in ended.out


def test_json_has_every_field_of_the_guide(cli: Cli, root: Path) -> None:
    import re

    guide = (Path(__file__).parents[2] / "docs" / "scanning.md").read_text(encoding="utf-8")
    table = guide.split("| field | |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    fields = {name for row in rows for name in re.findall("`([^`]+)`", row)}
    documents = json.loads(cli("scan", "--json", "--second-opinion", str(root)).out)
    by_name = {Path(one["file"]).name: one for one in documents}
    assert set(by_name["evil.ckpt"]) == fields
    assert set(by_name["plain.safetensors"]) == fields - {"second_opinion"}
    evil = by_name["evil.ckpt"]
    assert (evil["verdict"], evil["recorded"], evil["format"]) == ("dangerous", True, "pickle")
    finding = evil["findings"][0]
    assert set(finding) == {"module", "name", "rank", "why", "where", "offset", "count"}
    assert finding["rank"] == "dangerous"


def test_a_second_opinion_is_shown_where_it_differs(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("picklescan")
    file = _put(tmp_path / "odd.pt", SUSPICIOUS)
    ended = cli("scan", "--second-opinion", str(file))
    assert "picklescan:" in ended.out
    document = json.loads(cli("scan", "--second-opinion", "--json", str(file)).out)[0]
    assert document["second_opinion"]["verdict"] in ("safe", "suspicious", "dangerous")


def test_what_is_not_there_is_not_found(cli: Cli, tmp_path: Path) -> None:
    assert cli("scan", str(tmp_path / "gone.ckpt")).code == 3
    assert cli("scan").code == 2
    assert cli("scan", "--release", "--quarantine", "x").code == 2


def test_a_fifo_is_refused(cli: Cli, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    ended = cli("scan", str(tmp_path / "pipe.ckpt"))
    assert ended.code == 7
    assert "FIFO" in ended.err


def test_unsafe_is_worse_news_than_unreadable(cli: Cli, tmp_path: Path) -> None:
    _put(tmp_path / "evil.ckpt", DANGEROUS)
    os.mkfifo(tmp_path / "pipe.ckpt")
    assert cli("scan", str(tmp_path / "pipe.ckpt"), str(tmp_path / "evil.ckpt")).code == 6


def test_a_query_chooses_files(cli: Cli, root: Path) -> None:
    ended = cli("scan", "--query", "verdict:safe")
    assert ended.code == 0
    assert ended.out.splitlines()[0] == f"{root / 'good.pt'}: safe"
    assert cli("scan", "--query", "verdikt:safe").code == 2


def test_names_in_a_pickle_reach_the_terminal_harmless(cli: Cli, tmp_path: Path) -> None:
    file = _put(tmp_path / "odd.ckpt", b"cunheard\x1b[2J\nof\x07\n.")
    ended = cli("scan", str(file))
    assert ended.code == 6
    assert "\x1b[2J" not in ended.out
    assert "\x07" not in ended.out


def test_listings_show_the_verdict(cli: Cli, root: Path) -> None:
    table = cli("list", "unsafe:yes", "--format", "table").out
    assert "dangerous" in table
    assert "suspicious" in table
    rows = {row["name"]: row["verdict"] for row in json.loads(cli("list", "--json").out)}
    assert rows == {
        "evil.ckpt": "dangerous",
        "odd.pt": "suspicious",
        "good.pt": "safe",
        "plain.safetensors": None,
    }


def test_show_and_inspect_tell_what_was_found(cli: Cli, root: Path) -> None:
    for command in (("show", "evil"), ("inspect", str(root / "evil.ckpt"))):
        ended = cli(*command)
        assert ended.code == 0, ended.err
        assert "dangerous" in ended.out
        assert "__builtin__.eval" in ended.out
    shown = json.loads(cli("show", "evil", "--json").out)
    assert shown["scan"]["verdict"] == "dangerous"
    inspected = json.loads(cli("inspect", "--json", str(root / "evil.ckpt")).out)
    assert inspected["verdict"] == "dangerous"
    assert inspected["scans"]["evil.ckpt"]["findings"]
    plain = json.loads(cli("inspect", "--json", str(root / "plain.safetensors")).out)
    assert (plain["verdict"], plain["scans"]) == (None, {})


def test_doctor_counts_dangerous_files(cli: Cli, root: Path) -> None:
    def files() -> list[str]:
        checks = json.loads(cli("doctor", "--offline", "--json").out)
        return [one["text"] for one in checks if one["subject"] == "Files"]

    assert files() == ["1 in the library would run code when loaded"]
    assert cli("scan", "--quarantine", "evil").code == 0
    assert files() == ["1 in quarantine"]


def test_a_file_goes_into_quarantine_and_out_of_it_by_name(cli: Cli, root: Path) -> None:
    held = root / ".modelhub" / "quarantine" / "evil.ckpt.quarantined"
    ended = cli("scan", "--quarantine", "evil")
    assert (ended.code, ended.out.strip()) == (0, str(held))
    assert "quarantined" in cli("list", "state:quarantined").out
    ended = cli("scan", "--release", "evil.ckpt", "--json")
    assert json.loads(ended.out) == [{"from": str(held), "to": str(root / "evil.ckpt")}]
    assert (root / "evil.ckpt").read_bytes() == DANGEROUS
    assert cli("scan", "--release", str(root / "evil.ckpt")).code == 2


def test_show_tells_what_a_file_was_made_from(cli: Cli, root: Path) -> None:
    from modelhub.catalog import open_catalog
    from modelhub.config.load import load_config

    with open_catalog(load_config().config) as catalog:
        rows = {row.name: row for row in catalog.list_files()}
        good, plain = rows["good.pt"].sha256, rows["plain.safetensors"].sha256
        assert good is not None
        assert plain is not None
        catalog.record_derived(plain, [good, "0" * 64], "converted to fp16 safetensors")
    shown = cli("show", "plain").out
    assert f"{root / 'good.pt'}: converted to fp16 safetensors" in shown
    assert "0000000000 (not here)" in shown
    assert f"{root / 'plain.safetensors'}: converted" in cli("show", "good").out
