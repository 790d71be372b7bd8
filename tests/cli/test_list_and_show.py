"""`modelhub list` and `modelhub show` on what identification found."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhub.catalog import Found, ScannedFile, encode_path, open_catalog, prepare
from modelhub.config.load import load_config
from tests.cli.conftest import Cli

HEADER = {
    "identity": {
        "kind": "lora",
        "architecture": "sdxl",
        "family": "pony",
        "rank": 32,
        "evidence": [
            {"field": "kind", "value": "lora", "because": "lora_down in 264 modules"},
            {"field": "family", "value": "pony", "because": "the file's name", "certain": False},
        ],
        "training": {"optimizer": "AdamW8bit"},
    },
    "metadata": {"ss_network_dim": "32"},
    "parts": [],
}
LORA = Found(
    format="safetensors",
    kind="lora",
    adapter="locon",
    architecture="sdxl",
    family="pony",
    precision="fp16",
    parameters=12_000_000,
    guessed=True,
    trigger_words=("ink wash",),
    header=json.dumps(HEADER),
)


@pytest.fixture
def library(home: Path) -> Path:
    """A catalog with a LoRA, a file that cannot be read, and a model in two files."""
    folder = home / "models"
    files = [
        ScannedFile(path="ink.safetensors", size=2_000, mtime_ns=1, found=LORA),
        ScannedFile(path="bad.safetensors", size=9, mtime_ns=1, fault="cut short\x1b[2J at 8"),
        ScannedFile(path="big-1.safetensors", size=500, mtime_ns=1),
        ScannedFile(path="big-2.safetensors", size=600, mtime_ns=1, part_of="big-1.safetensors"),
    ]
    with open_catalog(load_config().config) as catalog:
        root = catalog.add_root(folder)
        catalog.record_scanned(root, [prepare(one, datetime.now(UTC)) for one in files])
    return folder


def test_a_guess_is_marked_and_evidence_is_shown_when_asked_for(library: Path, cli: Cli) -> None:
    plain = cli("show", "ink").out
    assert "lora (locon)" in plain
    assert "pony (a guess)" in plain
    assert "ink wash" in plain
    assert "lora_down" not in plain
    assert max(map(len, plain.splitlines())) <= 80 + len(str(library))
    told = cli("show", "--evidence", "ink").out
    assert "lora: lora_down in 264 modules" in told
    assert "pony: the file's name (a guess)" in told
    assert "AdamW8bit" in told


def test_a_fault_is_shown_without_its_control_characters(library: Path, cli: Cli) -> None:
    shown = cli("show", "bad").out
    assert "cut short" in shown
    assert "\x1b" not in shown
    assert "fault" in cli("list", "fault:yes").out


def test_a_model_in_several_files_is_one_line_with_its_parts(library: Path, cli: Cli) -> None:
    assert "2 parts" in cli("list", "big").out
    assert "big-2.safetensors" in cli("show", "big").out
    assert cli("list", "--count").out == "3\n"


def test_csv_and_json_have_every_field(library: Path, cli: Cli) -> None:
    [row] = csv.DictReader(io.StringIO(cli("list", "--format", "csv", "adapter:locon").out))
    assert (row["adapter"], row["family"], row["parameters"]) == ("locon", "pony", "12000000")
    assert row["file"] == encode_path(library / "ink.safetensors")
    [document] = json.loads(cli("list", "--json", "type:locon").out)
    assert (document["adapter"], document["guessed"], document["parts"]) == ("locon", True, 1)
    details = json.loads(cli("show", "--json", "ink").out)
    assert details["identity"]["rank"] == 32
    assert details["trained_words"] == ["ink wash"]
