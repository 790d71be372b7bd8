"""A newer version that the catalog knows: asked for in the search language, and row by row."""

from __future__ import annotations

from datetime import timedelta

import pytest

from modelhub.catalog import Catalog, ModelRecord, RemoteFileRecord, VersionRecord
from modelhub.errors import QuerySyntaxError

from .shelf import NOW, Shelf, sha256_of


def publish(
    catalog: Catalog, days: dict[str, int], *, here: str, base: dict[str, str] | None = None
) -> None:
    """A model of which version `here` is the content "old"; the days are those of publication."""
    versions = [
        VersionRecord(
            id=number,
            model_id=7,
            name=name,
            base_model=(base or {}).get(name, "SD 1.5"),
            published_at=NOW + timedelta(days=day),
            fetched_at=NOW,
        )
        for number, (name, day) in enumerate(days.items(), 70)
    ]
    files = [
        RemoteFileRecord(
            id=one.id * 10,
            version_id=one.id,
            name=f"{one.name}.safetensors",
            type="Model",
            sha256=sha256_of("old" if one.name == here else one.name),
        )
        for one in versions
    ]
    catalog.record_published(
        ModelRecord(id=7, name="Dream", type="Checkpoint", fetched_at=NOW), versions, files
    )


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    return Shelf(catalog)


def test_a_file_of_an_older_version_has_an_update(catalog: Catalog, shelf: Shelf) -> None:
    old = shelf.put("dream.safetensors", "old")
    other = shelf.put("other.safetensors")
    publish(catalog, {"v1": 0, "v2": 9}, here="v1")
    assert shelf.found("update:yes") == {"dream.safetensors"}
    assert shelf.found("update:no") == {"other.safetensors"}
    assert shelf.found("-update:yes") == {"other.safetensors"}
    assert catalog.newer_of([old, other]) == {old: 71}
    assert catalog.newer_of([other]) == catalog.newer_of([]) == {}


def test_the_newest_of_several_is_named(catalog: Catalog, shelf: Shelf) -> None:
    old = shelf.put("dream.safetensors", "old")
    publish(catalog, {"v1": 0, "v3": 20, "v2": 9}, here="v1")
    assert catalog.newer_of([old]) == {old: 71}


def test_a_newer_version_that_is_here_as_well_is_no_update(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("dream.safetensors", "old")
    shelf.put("dream2.safetensors", "v2")
    publish(catalog, {"v1": 0, "v2": 9}, here="v1")
    assert shelf.found("update:yes") == set()


def test_what_is_older_or_for_another_base_model_is_no_update(
    catalog: Catalog, shelf: Shelf
) -> None:
    shelf.put("dream.safetensors", "old")
    publish(catalog, {"v0": -5, "v1": 0, "xl": 9}, here="v1", base={"xl": "SDXL 1.0"})
    assert shelf.found("update:yes") == set()


def test_a_version_that_is_gone_is_no_update(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("dream.safetensors", "old")
    publish(catalog, {"v1": 0, "v2": 9}, here="v1")
    catalog.record_gone(version_id=71)
    assert shelf.found("update:yes") == set()


def test_another_answer_is_a_mistake_with_its_column(catalog: Catalog) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        catalog.count("dream update:maybe")
    assert (caught.value.column, caught.value.expected) == (14, "yes or no")


def test_rows_come_in_the_order_of_their_ids(catalog: Catalog, shelf: Shelf) -> None:
    first, second = shelf.put("a.safetensors"), shelf.put("b.safetensors")
    assert [row.id for row in catalog.rows([second, first, 999])] == [second, first]
    assert sorted(catalog.find_ids("a")) == [first]


def test_files_are_found_by_their_ids(catalog: Catalog, shelf: Shelf) -> None:
    first, second = shelf.put("a.safetensors"), shelf.put("b.safetensors")
    third = shelf.put("c.safetensors")
    assert shelf.found(f"id:{first},{third}") == {"a.safetensors", "c.safetensors"}
    assert shelf.found(f"-id:#{second}") == {"a.safetensors", "c.safetensors"}
    with pytest.raises(QuerySyntaxError, match="the number of a file"):
        catalog.count("id:x")


def test_totals_leave_out_what_is_missing(catalog: Catalog, shelf: Shelf) -> None:
    assert catalog.totals() == (0, 0)
    shelf.put("a.safetensors", size=10)
    shelf.missing(shelf.put("b.safetensors", size=20))
    assert catalog.totals() == (1, 10)
