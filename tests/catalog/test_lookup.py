"""Finding one file by what a person types, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from modelhub.catalog import Catalog, LocalFileRecord
from modelhub.errors import AmbiguousFile, UnknownFile

from .shelf import ROOT, Shelf, sha256_of


def test_a_file_is_named_in_many_ways(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.publish(7, "Saku", content="saku")
    number = shelf.put("checkpoints/Saku_v1.safetensors", "saku")
    shelf.put("loras/other.safetensors")
    sha256 = sha256_of("saku")
    for text in (
        "/library/checkpoints/Saku_v1.safetensors",
        "/library/loras/../checkpoints/Saku_v1.safetensors",
        "checkpoints/Saku_v1.safetensors",
        f"#{number}",
        sha256,
        sha256[:10].lower(),
        sha256[:8],
        "70",
        "7@70",
        "saku_V1.safetensors",
        "Saku",
        " saku_v1 ",
    ):
        assert shelf.catalog.resolve_file(text).id == number, text


def test_a_path_may_be_relative_to_the_working_folder(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = LocalFileRecord(root=tmp_path, path=Path("a/x.pt"), size=1, mtime_ns=1)
    number = catalog.record_local_file(record)
    assert catalog.resolve_file("a/x.pt").id == number
    assert catalog.resolve_file("./a/x.pt").id == number


@pytest.mark.parametrize(
    "text", ["nothing", "", " ", "#99", "99", "99999999999999999999", "ffffffff", "/", "a\0", "%"]
)
def test_what_fits_no_file_is_unknown(shelf: Shelf, text: str) -> None:
    shelf.put("a.pt")
    with pytest.raises(UnknownFile):
        shelf.catalog.resolve_file(text)


def test_what_fits_several_names_them(shelf: Shelf) -> None:
    shelf.put("a/model.pt", "one")
    shelf.put("b/model.pt", "two")
    with pytest.raises(AmbiguousFile, match=r"a/model\.pt, b/model\.pt"):
        shelf.catalog.resolve_file("model.pt")


def test_copies_and_missing_files_are_not_ambiguous(shelf: Shelf) -> None:
    first = shelf.put("a/model.pt", "same")
    second = shelf.put("b/model.pt", "same")
    assert shelf.catalog.resolve_file("model.pt").id == first
    shelf.missing(first)
    assert shelf.catalog.resolve_file("model.pt").id == second
    shelf.put("c/model.pt", "other")
    shelf.missing(second)
    assert shelf.catalog.resolve_file("model").path == "c/model.pt"


def test_files_are_found_by_content_present_ones_first(shelf: Shelf) -> None:
    first, second = shelf.put("a.pt", "same"), shelf.put("b.pt", "same")
    shelf.missing(first)
    rows = shelf.catalog.find_local_by_sha256(sha256_of("same").lower())
    assert [row.id for row in rows] == [second, first]
    assert shelf.catalog.find_local_by_sha256("0" * 64) == []


def test_no_file_is_at_a_path_of_no_root(shelf: Shelf) -> None:
    shelf.put("a.pt")
    assert shelf.catalog.find_local_by_path(ROOT) is None
    assert shelf.catalog.find_local_by_path(Path("/librarya.pt")) is None
    assert shelf.catalog.find_local_by_path(Path("/elsewhere/a.pt")) is None


def test_everything_is_shown_and_can_be_printed_as_json(shelf: Shelf) -> None:
    shelf.publish(7, "Saku", content="saku", words=("1girl",), tags=("Anime",), creator="s")
    number = shelf.put("a.safetensors", "saku", crc32="0a0b0c0d", header='{"ss": "x"}', ema=False)
    copy = shelf.put("b.safetensors", "saku")
    shelf.catalog.rate([number], 5)
    details = shelf.catalog.show(number)
    assert details.hashes == {
        "SHA256": sha256_of("saku"),
        "AutoV2": sha256_of("saku")[:10],
        "CRC32": "0A0B0C0D",
    }
    assert details.header == {"ss": "x"}
    assert details.publications[0].published_tags == ("anime",)
    assert [row.id for row in details.copies] == [copy]
    decoded = msgspec.json.decode(msgspec.json.encode(details))
    assert decoded["row"]["rating"] == 5
    assert decoded["row"]["state"] == "hashed"
    with pytest.raises(UnknownFile):
        shelf.catalog.show(999)


def test_a_file_that_was_never_hashed_is_shown_too(shelf: Shelf) -> None:
    details = shelf.catalog.show(shelf.seen("new.gguf"))
    assert (details.row.sha256, details.row.format, details.hashes) == (None, "gguf", {})
