"""What files were published as, since when they are missing, and where their previews went."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from modelhub.catalog import (
    Catalog,
    FileState,
    ModelRecord,
    PreviewRecord,
    VersionRecord,
)

from .shelf import Shelf, local

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)


def test_the_version_that_a_file_was_pulled_from_is_named_first(
    catalog: Catalog, shelf: Shelf
) -> None:
    both = shelf.put("both.pt")
    alone = shelf.put("alone.pt")
    shelf.publish(1, "First", content="both.pt", type="LORA", file={"type": "VAE"})
    shelf.publish(2, "Second", content="both.pt")
    latest = next(one.version_id for one in catalog.published_as([both])[both] if one.model_id == 2)
    catalog.record_local_file(local("both.pt"), version_id=latest)
    found = catalog.published_as([both, alone])
    assert found.keys() == {both}
    assert [one.model_name for one in found[both]] == ["Second", "First"]
    first = found[both][1]
    assert (first.model_type, first.file_type, first.base_model) == ("LORA", "VAE", "SD 1.5")


def test_a_file_of_a_version_that_published_other_bytes_is_known_by_its_version(
    catalog: Catalog, shelf: Shelf
) -> None:
    shelf.publish(1, "Edited", content="published.pt")
    version = catalog.known_versions(1)[0]
    file = shelf.put("edited.pt")
    catalog.record_local_file(local("edited.pt"), version_id=version)
    (one,) = catalog.published_as([file])[file]
    assert (one.version_id, one.file_id, one.model_name) == (version, None, "Edited")


def test_what_is_gone_from_civitai_is_told_of_model_and_version(
    catalog: Catalog, shelf: Shelf
) -> None:
    file = shelf.put("a.pt")
    shelf.publish(1, "Gone", content="a.pt")
    catalog.record_gone(model_id=1)
    (one,) = catalog.published_as([file])[file]
    assert one.model_gone_at is not None
    assert one.version_gone_at is None


def test_a_file_is_missing_since_it_was_first_found_to_be(catalog: Catalog, shelf: Shelf) -> None:
    gone, here = shelf.put("gone.pt"), shelf.put("here.pt")
    shelf.missing(gone)
    since = catalog.missing_since([gone, here])
    assert since.keys() == {gone}
    shelf.missing(gone)
    assert catalog.missing_since([gone]) == since, "it was missing already"
    catalog.set_state([gone], FileState.HASHED)
    assert catalog.missing_since([gone]) == {}
    shelf.missing(gone)
    assert catalog.missing_since([gone])[gone] > since[gone]


def test_only_the_previews_that_moved_have_another_path(catalog: Catalog, shelf: Shelf) -> None:
    pictures = tuple(
        PreviewRecord(url=f"https://image.example/{n}", file=Path(f"/old/{n}.png")) for n in (1, 2)
    )
    for number, name in ((1, "a.pt"), (2, "b.pt")):
        shelf.put(name)
        shelf.publish(number, name, content=name)
        model = ModelRecord(id=number, name=name, type="LORA", fetched_at=NOW)
        version = VersionRecord(
            id=number * 10, model_id=number, name="v1", fetched_at=NOW, previews=pictures
        )
        catalog.record_published(model, [version])
    catalog.record_previews_moved(10, {Path("/old/1.png"): Path("/new/1.png")})

    def copies(name: str) -> list[str | None]:
        details = catalog.show(catalog.resolve_file(name).id)
        return [preview.file for preview in details.previews]

    assert copies("a.pt") == ["/new/1.png", "/old/2.png"]
    assert copies("b.pt") == ["/old/1.png", "/old/2.png"], "of another version"
