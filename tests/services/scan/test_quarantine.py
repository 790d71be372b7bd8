"""Into quarantine and out of it: renamed, never overwritten, and followed by the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog import FileState
from modelhub.errors import FileUnreadable, UsageError
from modelhub.services.scan import quarantine_file, release_file
from modelhub.services.scan.quarantine import is_quarantined, original_of
from tests.services.index.shelf import Library

from .conftest import DANGEROUS


def test_a_file_goes_into_quarantine_and_comes_back(library: Library) -> None:
    file = library.put("checkpoints/evil.ckpt", DANGEROUS)
    library.index()
    library.catalog.tag("evil", ["keep"])

    held = quarantine_file(library.catalog, file)
    assert held == library.root / ".modelhub/quarantine/checkpoints/evil.ckpt.quarantined"
    assert held.read_bytes() == DANGEROUS
    assert not file.exists()
    [row] = library.rows("state:quarantined")
    assert (row.file, row.verdict, row.tags) == (held, "dangerous", ("keep",))

    assert release_file(library.catalog, held) == file
    assert file.read_bytes() == DANGEROUS
    row = library.row("checkpoints/evil.ckpt")
    assert (row.state, row.verdict, row.tags) == (FileState.HASHED, "dangerous", ("keep",))
    kinds = [event.kind for event in library.catalog.show(row.id).events]
    assert kinds[:2] == ["released", "quarantined"]


def test_indexing_leaves_what_is_in_quarantine_there(library: Library) -> None:
    file = library.put("evil.ckpt", DANGEROUS)
    library.index()
    held = quarantine_file(library.catalog, file)
    report = library.index()
    assert (report.missing, report.forgotten, report.new) == (0, 0, 0)
    [row] = library.rows()
    assert (row.file, row.state) == (held, FileState.QUARANTINED)


def test_what_is_deleted_from_quarantine_is_missing(library: Library) -> None:
    file = library.put("evil.ckpt", DANGEROUS)
    library.index()
    quarantine_file(library.catalog, file).unlink()
    assert library.index().missing == 1
    assert [row.state for row in library.rows()] == [FileState.MISSING]


def test_a_taken_name_is_not_overwritten_either_way(library: Library) -> None:
    first, second = DANGEROUS, DANGEROUS + b"2"
    file = library.put("evil.ckpt", first)
    library.index()
    held = quarantine_file(library.catalog, file)
    library.put("evil.ckpt", second)
    library.index()
    other = quarantine_file(library.catalog, file)
    assert other.name == "evil (2).ckpt.quarantined"
    assert (held.read_bytes(), other.read_bytes()) == (first, second)

    library.put("evil.ckpt", b"a third")
    released = release_file(library.catalog, held)
    assert released.name == "evil (2).ckpt"
    assert file.read_bytes() == b"a third"
    assert released.read_bytes() == first


def test_a_file_in_no_library_is_quarantined_in_its_folder(
    library: Library, tmp_path: Path
) -> None:
    file = tmp_path / "downloads" / "evil.ckpt"
    file.parent.mkdir()
    file.write_bytes(DANGEROUS)
    held = quarantine_file(library.catalog, file)
    assert held.parent == file.parent / ".modelhub" / "quarantine"
    assert original_of(held) == file
    assert release_file(library.catalog, held) == file
    assert library.rows() == []


def test_what_is_not_in_quarantine_cannot_be_released(library: Library) -> None:
    file = library.put("evil.ckpt", DANGEROUS)
    with pytest.raises(UsageError):
        release_file(library.catalog, file)
    with pytest.raises(FileUnreadable):
        release_file(library.catalog, library.root / ".modelhub/quarantine/no.ckpt.quarantined")
    held = quarantine_file(library.catalog, file)
    assert is_quarantined(held)
    with pytest.raises(UsageError):
        quarantine_file(library.catalog, held)


def test_a_part_of_a_model_is_not_torn_out_of_it(library: Library) -> None:
    library.put("m-00001-of-00002.safetensors")
    part = library.put("m-00002-of-00002.safetensors")
    library.index()
    with pytest.raises(UsageError):
        quarantine_file(library.catalog, part)
    assert part.exists()
