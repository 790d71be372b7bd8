"""Into the trash and out of it: renamed, never overwritten, and followed by the catalog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import FileState, open_catalog
from modelhub.errors import FileUnreadable, NameTaken, NotFoundError
from modelhub.services.trash import batches_of, empty, restore, trash
from tests.services.index.shelf import Library, lora, settings


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Library(root, catalog, config)


def throw(library: Library, *paths: str) -> str:
    report = trash(library.catalog, [library.row(path).id for path in paths])
    assert report.failed == []
    return report.batch


def test_a_model_goes_with_what_belongs_to_it_and_comes_back(library: Library) -> None:
    file = library.put("loras/ink.safetensors")
    preview = library.put("loras/ink.preview.png", b"png")
    other = library.put("loras/other.safetensors")
    library.index()
    library.catalog.tag("ink", ["keep"])
    content = file.read_bytes()

    batch = throw(library, "loras/ink.safetensors")
    held = library.root / ".modelhub" / "trash" / batch / "loras"
    assert sorted(one.name for one in held.iterdir()) == ["ink.preview.png", "ink.safetensors"]
    assert not file.exists()
    assert not preview.exists()
    assert other.exists()
    row = library.row("loras/ink.safetensors")
    assert (row.state, row.tags) == (FileState.MISSING, ("keep",))
    library.index()
    assert library.row("loras/ink.safetensors").state is FileState.MISSING

    assert sorted(restore(library.catalog).restored) == [preview, file]
    assert file.read_bytes() == content
    assert not held.exists()
    row = library.row("loras/ink.safetensors")
    assert (row.state, row.tags) == (FileState.HASHED, ("keep",))
    kinds = [event.kind for event in library.catalog.show(row.id).events]
    assert kinds[0] == "restored"
    assert "trashed" in kinds


def test_a_diffusers_folder_goes_as_a_whole_and_comes_back(library: Library) -> None:
    parts = [
        library.put(f"sd/pipe/{name}/diffusion_pytorch_model.safetensors", lora(seed))
        for name, seed in (("unet", 1), ("vae", 2))
    ]
    index = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    library.put("sd/pipe/model_index.json", json.dumps(index).encode())
    library.put("sd/pipe/tokenizer/vocab.json", b"{}")
    beside = library.put("sd/pipe.txt", b"mine")
    library.index()
    [row] = library.catalog.list_files("")
    assert row.format == "diffusers"

    report = trash(library.catalog, [row.id])
    assert report.failed == []
    assert not (library.root / "sd/pipe").exists()
    assert beside.exists()
    library.index()
    assert [one.state for one in library.catalog.list_files("")] == [FileState.MISSING]

    (library.root / "sd/pipe").mkdir()
    assert isinstance(restore(library.catalog).failed[0], NameTaken)
    (library.root / "sd/pipe").rmdir()
    assert restore(library.catalog).restored == [library.root / "sd/pipe"]
    assert all(part.exists() for part in parts)
    assert (library.root / "sd/pipe/tokenizer/vocab.json").read_bytes() == b"{}"
    assert [one.state for one in library.catalog.list_files("")] == [FileState.HASHED]
    assert library.index().missing == 0
    assert batches_of(library.catalog) == []


def test_what_took_the_name_meanwhile_is_not_overwritten(library: Library) -> None:
    file = library.put("ink.safetensors")
    library.index()
    batch = throw(library, "ink.safetensors")
    file.write_bytes(b"new")
    report = restore(library.catalog, batch)
    [error] = report.failed
    assert isinstance(error, NameTaken)
    assert file.read_bytes() == b"new"
    assert [one.name for one in batches_of(library.catalog)] == [batch]


def test_two_models_of_one_name_lie_in_the_trash_at_once(library: Library) -> None:
    first = library.put("ink.safetensors", lora(1))
    library.index()
    one = throw(library, "ink.safetensors")
    library.put("ink.safetensors", lora(2))
    library.index()
    two = throw(library, "ink.safetensors")
    assert {batch.name for batch in batches_of(library.catalog)} == {one, two}
    restore(library.catalog, one)
    assert first.read_bytes() == lora(1)


def test_a_companion_that_another_model_shares_stays(library: Library) -> None:
    library.put("ink.safetensors")
    library.put("ink.ckpt", b"not a model, by its name one")
    shared = library.put("ink.png", b"png")
    library.index()
    throw(library, "ink.safetensors")
    assert shared.exists()


def test_what_cannot_be_moved_stays_and_the_others_go(library: Library) -> None:
    gone, there = library.put("gone.safetensors"), library.put("there.safetensors")
    library.index()
    ids = [library.row(name).id for name in ("gone.safetensors", "there.safetensors")]
    gone.unlink()
    report = trash(library.catalog, ids)
    assert report.moved == [there]
    assert [type(error) for error in report.failed] == [FileUnreadable]


def test_emptying_deletes_for_good_and_only_what_was_named(library: Library) -> None:
    first, second = library.put("a.safetensors"), library.put("b.safetensors")
    size = first.stat().st_size
    library.index()
    one, two = throw(library, "a.safetensors"), throw(library, "b.safetensors")
    assert empty(library.catalog, [one]) == size
    assert [batch.name for batch in batches_of(library.catalog)] == [two]
    with pytest.raises(NotFoundError):
        restore(library.catalog, one)
    restore(library.catalog, two)
    assert second.exists()


def test_an_empty_trash_says_so(library: Library) -> None:
    with pytest.raises(NotFoundError, match="the trash is empty"):
        restore(library.catalog)
