from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.catalog import BlobRecord, Catalog, LocalFileRecord, open_catalog
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings
from modelhub.errors import UsageError
from modelhub.services.userwords import LONGEST_LINE, ImportReport, export_words, import_words

HEADING = {"modelhub": "user words", "version": 1}
ONE, TWO = "A" * 64, "B" * 64


def opened(folder: Path, name: str) -> Catalog:
    url = f"sqlite:///{folder / name}.db"
    return open_catalog(Config(catalog=CatalogSettings(database_url=url)))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Catalog]:
    with opened(tmp_path, "here") as catalog:
        yield catalog


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Catalog]:
    with opened(tmp_path, "there") as catalog:
        yield catalog


def put(catalog: Catalog, name: str, sha256: str) -> int:
    return catalog.record_local_file(
        LocalFileRecord(root=Path("/library"), path=Path(name), size=10, mtime_ns=1),
        blob=BlobRecord(sha256=sha256, size=10, blake3="C" * 64),
    )


def exported(catalog: Catalog) -> list[dict[str, Any]]:
    out = io.BytesIO()
    export_words(catalog, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def imported(catalog: Catalog, *lines: Any, **options: bool) -> ImportReport:
    texts = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return import_words(catalog, io.BytesIO(b"\n".join(texts)), **options)


def write_everything(catalog: Catalog, number: int) -> None:
    catalog.tag([number], ["style", "ink"])
    catalog.note([number], "30 steps\nCFG 6 “quoted”")
    catalog.rate([number], 5)
    catalog.set_trigger_words([number], ["inkwash", "fine lines"])
    catalog.set_user_values([number], {"title": "My ink", "preferred_weight": "0.8"})


def written(catalog: Catalog, number: int) -> tuple[Any, ...]:
    details = catalog.show(number)
    row = details.row
    return row.tags, details.note, row.rating, details.own_trigger_words, details.user_values


def test_an_export_says_what_it_is_and_holds_all_that_the_user_wrote(here: Catalog) -> None:
    write_everything(here, put(here, "loras/ink.safetensors", ONE))
    put(here, "nothing written.safetensors", TWO)
    heading, *lines = exported(here)
    assert heading.items() >= HEADING.items()
    assert lines == [
        {
            "sha256": ONE,
            "size": 10,
            "hashes": {"AutoV2": ONE[:10], "BLAKE3": "C" * 64},
            "names": lines[0]["names"],
            "tags": ["ink", "style"],
            "note": "30 steps\nCFG 6 “quoted”",
            "rating": 5,
            "trigger_words": ["inkwash", "fine lines"],
            "values": {"title": "My ink", "preferred_weight": "0.8"},
        }
    ]
    assert lines[0]["names"][0].endswith("loras/ink.safetensors")


def test_an_import_on_another_machine_finds_the_same_content_under_any_name(
    here: Catalog, there: Catalog
) -> None:
    number = put(here, "ink.safetensors", ONE)
    write_everything(here, number)
    other = put(there, "deep/other name.safetensors", ONE)

    report = imported(there, *exported(here))

    assert (report.lines, report.changed, report.waiting) == (1, 1, 0)
    assert written(there, other) == written(here, number)
    assert imported(there, *exported(here)).changed == 0


def test_words_wait_for_a_file_that_is_not_here_yet(here: Catalog, there: Catalog) -> None:
    number = put(here, "ink.safetensors", ONE)
    write_everything(here, number)
    report = imported(there, *exported(here))
    assert (report.changed, report.waiting) == (1, 1)
    assert exported(there)[1]["note"] == exported(here)[1]["note"]
    assert written(there, put(there, "came later.safetensors", ONE)) == written(here, number)


def test_what_is_written_here_stays_unless_it_is_to_be_replaced(here: Catalog) -> None:
    number = put(here, "ink.safetensors", ONE)
    write_everything(here, number)
    line = {"sha256": ONE.lower(), "tags": ["new"], "note": "other", "rating": 1}
    line["values"] = {"title": "Other", "vae": "clear.pt"}
    assert imported(here, HEADING, line).changed == 1
    tags, note, rating, words, values = written(here, number)
    assert (tags, note, rating) == (("ink", "new", "style"), "30 steps\nCFG 6 “quoted”", 5)
    assert values == {"title": "My ink", "preferred_weight": "0.8", "vae": "clear.pt"}

    assert imported(here, HEADING, line, replace=True).changed == 1
    tags, note, rating, words, values = written(here, number)
    assert (tags, note, rating) == (("new",), "other", 1)
    assert words == ("inkwash", "fine lines")
    assert values["title"] == "Other"


def test_what_was_removed_by_mistake_comes_back_from_an_export(here: Catalog) -> None:
    number = put(here, "ink.safetensors", ONE)
    write_everything(here, number)
    saved = exported(here)
    imported(here, *saved)
    here.untag([number], ["ink"])
    here.note([number], None)
    imported(here, *saved)
    assert exported(here)[1] == saved[1]


def test_a_dry_run_counts_and_changes_nothing(here: Catalog) -> None:
    put(here, "ink.safetensors", ONE)
    lines = [HEADING, {"sha256": ONE, "rating": 5}, {"sha256": TWO, "note": "waits"}]
    report = imported(here, *lines, dry_run=True)
    assert (report.lines, report.changed, report.waiting, report.dry_run) == (2, 2, 1, True)
    assert len(exported(here)) == 1
    assert imported(here, *lines).changed == 2


def test_malformed_lines_are_named_and_nothing_is_imported(here: Catalog) -> None:
    put(here, "ink.safetensors", ONE)
    good = {"sha256": ONE, "rating": 5}
    bad = [{"sha256": "nope"}, b"{", {"sha256": ONE, "rating": 6}, b"\xff", b"[" * 100_000]
    with pytest.raises(UsageError) as caught:
        imported(here, HEADING, good, b"", *bad, {"sha256": ONE, "hashes": {"BLAKE3": "zz"}})
    lines = caught.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"line {n}" for n in range(4, 10)]
    assert "$.rating" in lines[2]
    assert "nothing was imported" in caught.value.hint
    assert len(exported(here)) == 1


def test_many_mistakes_are_counted(here: Catalog) -> None:
    with pytest.raises(UsageError, match="and 40 more"):
        imported(here, HEADING, *[b"{}"] * 50)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "there is no line in it"),
        ([b'{"sha256": "x"}'], "line 1: it does not begin as an export of modelhub does"),
        ([b"PK\x03\x04"], "line 1: it does not begin"),
        ([{"modelhub": "user words", "version": 2}], "by a later modelhub"),
    ],
)
def test_what_is_no_export_is_refused(here: Catalog, lines: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        imported(here, *lines)


def test_an_endless_line_is_not_read_to_its_end(here: Catalog) -> None:
    long = b'{"note": "' + b"x" * (2 * LONGEST_LINE) + b'"}'
    with pytest.raises(UsageError, match="line 2: it is longer than 4 MiB") as caught:
        imported(here, HEADING, long, {"sha256": "?"})
    assert "line 3" in caught.value.message


def test_fields_of_a_later_version_are_passed_over(here: Catalog) -> None:
    put(here, "ink.safetensors", ONE)
    line = {"sha256": ONE, "rating": 4, "colour": "red", "values": {"mood": "calm"}}
    assert imported(here, HEADING | {"by": "someone"}, line).changed == 1


def test_a_thousand_lines_are_imported_in_few_transactions(here: Catalog) -> None:
    lines = [{"sha256": f"{n:064X}", "note": f"note {n}", "size": n} for n in range(1_200)]
    assert imported(here, HEADING, *lines).changed == 1_200
    assert len(exported(here)) == 1_201


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_imported_or_refused(here: Catalog, content: bytes) -> None:
    source = io.BytesIO(json.dumps(HEADING).encode() + b"\n" + content)
    try:
        report = import_words(here, source, dry_run=True)
    except UsageError:
        return
    assert report.lines == 0
