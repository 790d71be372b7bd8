"""Roots, moves, and models in several files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog import Catalog, FileState, Move
from modelhub.errors import UnknownFile

from .scans import LORA, hashed, known, row_of, scan, scanned
from .shelf import Shelf


def test_files_that_swap_their_names_keep_what_the_user_wrote(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.pt"), scanned("b.pt"), scanned("c.pt"), scanned("gone.pt"))
    files = known(catalog, root)
    for name in "abc":
        assert hashed(catalog, files[f"{name}.pt"], name)
        catalog.tag([files[f"{name}.pt"].id], [f"tag-{name}"])
    catalog.set_state([files["c.pt"].id], FileState.MISSING)
    other = catalog.add_root(Path("/library/other"))
    catalog.record_moved_many(
        [
            Move(files["a.pt"].id, root, "b.pt"),
            Move(files["b.pt"].id, root, "a.pt"),
            Move(files["c.pt"].id, other, "d/e.pt"),
        ]
    )
    assert row_of(catalog, "a.pt").tags == ("tag-b",)
    assert row_of(catalog, "b.pt").tags == ("tag-a",)
    moved = row_of(catalog, "other/d/e.pt")
    assert (moved.tags, moved.state, moved.copies) == (("tag-c",), FileState.HASHED, 1)
    catalog.record_moved_many([Move(files["a.pt"].id, root, "gone.pt")])
    assert "b.pt" not in known(catalog, root)
    assert len(known(catalog, root)) == 2
    assert catalog.check(thorough=True).ok
    with pytest.raises(UnknownFile):
        catalog.record_moved_many([Move(12345, root, "x.pt")])


def test_the_parts_of_a_model_are_listed_as_one(catalog: Catalog, root: int, shelf: Shelf) -> None:
    first, second, index = (
        "big-00001-of-00002.safetensors",
        "big-00002-of-00002.safetensors",
        "big.safetensors.index.json",
    )
    scan(
        catalog,
        root,
        scanned(first, size=700, found=LORA),
        scanned(second, size=300, part_of=first),
        scanned(index, size=24, part_of=first),
        scanned("alone.pt"),
    )
    assert shelf.found("") == {first, "alone.pt"}
    row = row_of(catalog, first)
    assert (row.size, row.parts) == (1024, 3)
    assert shelf.found("size:1024..1024") == {first}
    parts = {one.path: one.part_of for one in catalog.known_files(root)}
    assert parts == {first: None, second: row.id, index: row.id, "alone.pt": None}
    assert row_of(catalog, second).id == row.id
    assert {one.path for one in catalog.unhashed(10)} == set(parts)
    assert catalog.check(thorough=True).ok
    catalog.forget([row.id])
    assert shelf.found("") == {second, index, "alone.pt"}
    scan(catalog, root, scanned(first, size=700), scanned(second, size=300, part_of=first))
    assert shelf.found("") == {first, index, "alone.pt"}
    assert row_of(catalog, first).size == 1000
    catalog.forget([known(catalog, root)[second].id])
    assert (row_of(catalog, first).size, row_of(catalog, first).parts) == (700, 1)


def test_a_root_that_is_removed_leaves_what_the_user_wrote(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("a.pt"), scanned("b.pt", part_of="a.pt"))
    assert hashed(catalog, known(catalog, root)["a.pt"], "x")
    catalog.tag("a", ["mine"])
    catalog.add_root(Path("/library"), watched=True)
    assert catalog.count_files(root) == 2
    assert catalog.remove_root(root, forget=False) == 0
    [kept] = catalog.roots()
    assert (kept.watched, shelf.found("")) == (False, {"a.pt"})
    assert catalog.remove_root(root, forget=True) == 2
    assert catalog.roots() == []
    assert shelf.found("") == set()
    shelf.put("again.pt", "x")
    assert shelf.found("tag:mine") == {"again.pt"}


def test_a_root_remembers_its_file_system(catalog: Catalog, root: int) -> None:
    assert catalog.root(Path("/nowhere")) is None
    catalog.record_scan(root, device=66_306, marker="uuid", seen_files=12)
    found = catalog.root(Path("/library/./x/.."))
    assert found is not None
    assert (found.device, found.marker, found.seen_files) == (66_306, "uuid", 12)
    assert found.scanned_at is not None
    assert found.identified_by is None
    catalog.record_scan(root, seen_files=12, identified_by=3)
    catalog.record_scan(root, seen_files=12)
    again = catalog.root(Path("/library"))
    assert again is not None
    assert again.identified_by == 3
