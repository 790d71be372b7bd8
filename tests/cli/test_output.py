from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from modelhub.cli.output import (
    Column,
    OutputForm,
    output_options,
    print_csv,
    print_fields,
    print_json,
    print_listing,
    print_table,
)
from modelhub.text import cell_width, human_size

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Model:
    name: str
    size: int | None
    safe: bool = True


COLUMNS: list[Column[Model]] = [
    Column("Name", lambda model: model.name, flexible=True, middle=True),
    Column("File size", lambda model: model.size, show=human_size, right=True),
    Column("Safe", lambda model: model.safe),
]
MODELS = [Model("SakushiMix", 2_132_625_894), Model("模型", 10), Model("x\x1b[31m", None, False)]


def test_a_table_is_aligned_and_harmless(capsys: Capture) -> None:
    print_table(COLUMNS, MODELS)
    assert capsys.readouterr().out.splitlines() == [
        "NAME        FILE SIZE  SAFE",
        "SakushiMix   1.99 GiB  True",
        "模型             10 B  True",
        r"x\x1b[31m              False",
    ]


def test_a_table_fits_the_terminal_and_numbers_stay_whole(capsys: Capture) -> None:
    print_table(COLUMNS, [Model("long name " * 20 + ".safetensors", 2_132_625_894)], width=60)
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_width(line) <= 60 for line in lines)
    assert "tensors   1.99 GiB  True" in lines[1]


def test_a_table_in_a_pipe_is_never_cut(capsys: Capture) -> None:
    name = "n" * 500
    print_table(COLUMNS, [Model(name, 1)])
    assert name in capsys.readouterr().out


def test_an_empty_table_prints_nothing_and_empty_json_is_an_array(capsys: Capture) -> None:
    print_listing(COLUMNS, [], OutputForm.TABLE)
    assert capsys.readouterr().out == ""
    print_listing(COLUMNS, [], OutputForm.JSON)
    assert json.loads(capsys.readouterr().out) == []


def test_json_is_one_document_with_sizes_in_bytes(capsys: Capture) -> None:
    print_listing(COLUMNS, MODELS, OutputForm.JSON)
    assert json.loads(capsys.readouterr().out) == [
        {"name": model.name, "size": model.size, "safe": model.safe} for model in MODELS
    ]


def test_json_holds_paths_dates_and_undecodable_names(capsys: Capture) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    print_json({"path": Path("/m/a\udcff.ckpt"), "at": moment, "form": OutputForm.CSV})
    out = capsys.readouterr().out
    assert "\\udcff" in out
    assert json.loads(out) == {
        "path": "/m/a\udcff.ckpt",
        "at": "2026-01-02T03:04:05Z",
        "form": "csv",
    }


def test_csv_holds_bytes_and_no_formulas(capsys: Capture) -> None:
    rows = [*MODELS, Model('=HYPERLINK("http://x")', -5), Model("two\nlines, quoted", 1)]
    print_csv(COLUMNS, rows)
    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert read == [
        ["name", "file_size", "safe"],
        ["SakushiMix", "2132625894", "true"],
        ["模型", "10", "true"],
        [r"x\x1b[31m", "", "false"],
        ['\'=HYPERLINK("http://x")', "-5", "true"],
        [r"two\nlines, quoted", "1", "true"],
    ]


def test_fields_without_a_value_are_left_out(capsys: Capture) -> None:
    print_fields([("name", "x"), ("creator", None), ("rating", 0), ("note", "")])
    assert capsys.readouterr().out == "name:   x\nrating: 0\n"


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ([], "table"),
        (["--json"], "json"),
        (["--format", "csv"], "csv"),
        (["--format", "json", "--json"], "json"),
    ],
)
def test_the_form_is_chosen_by_option(arguments: list[str], form: str) -> None:
    @click.command()
    @output_options
    def command(form: OutputForm) -> None:
        click.echo(form)

    assert CliRunner().invoke(command, arguments).output == f"{form}\n"
    clash = CliRunner().invoke(command, ["--json", "--format", "csv"])
    assert clash.exit_code == 2
    assert "exclude each other" in clash.output
