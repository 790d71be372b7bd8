from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.errors import FileUnreadable, QuerySyntaxError, UnknownFile
from modelhub.services.convert.sources import chosen_sources, files_of, require_model
from tests.hostile_files import safetensors, tensor
from tests.services.index.shelf import Library, lora, settings


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Three indexed LoRAs in a root, which is not the working folder."""
    root, here = tmp_path / "models", tmp_path / "here"
    root.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        library = Library(root, catalog, config)
        for number, name in enumerate(("ink", "oil", "chalk")):
            library.put(f"{name}.safetensors", lora(number + 1))
        library.index()
        yield library


def names(library: Library, *texts: str, by_query: bool = False) -> list[str]:
    found = chosen_sources(library.catalog, texts, by_query=by_query)
    return [path.name for path in found]


def test_a_path_need_not_be_in_the_catalog(library: Library) -> None:
    Path("new.safetensors").write_bytes(lora(9))
    assert names(library, "new.safetensors") == ["new.safetensors"]


def test_a_name_that_is_no_path_is_looked_for_in_the_catalog(library: Library) -> None:
    assert chosen_sources(library.catalog, ["ink"]) == (library.root / "ink.safetensors",)
    with pytest.raises(UnknownFile) as caught:
        names(library, "nowhere")
    assert "there is no file 'nowhere' here either" in caught.value.hint


def test_a_pattern_finds_files_of_the_disk(library: Library) -> None:
    for name in ("b.ckpt", "a.ckpt", "c.txt"):
        Path(name).write_bytes(b"")
    Path("folder.ckpt").mkdir()
    assert names(library, "*.ckpt") == ["a.ckpt", "b.ckpt"]
    with pytest.raises(UnknownFile, match="fits the pattern"):
        names(library, "*.pt")


def test_a_file_whose_name_looks_like_a_pattern_or_a_query_is_a_file(library: Library) -> None:
    for name in ("[v1]*.ckpt", "format:ckpt"):
        Path(name).write_bytes(b"")
        assert names(library, name) == [name]


def test_what_begins_like_a_field_is_a_query(library: Library) -> None:
    assert sorted(names(library, "type:lora")) == [
        "chalk.safetensors",
        "ink.safetensors",
        "oil.safetensors",
    ]
    with pytest.raises(UnknownFile, match="matches 'format:ckpt unsafe:no'"):
        names(library, "format:ckpt unsafe:no")
    with pytest.raises(QuerySyntaxError):
        names(library, "size>much")


def test_fields_in_several_arguments_are_one_query_and_names_go_beside(library: Library) -> None:
    assert names(library, "type:lora", "name:oil") == ["oil.safetensors"]
    assert names(library, "chalk", "type:lora", "name:oil") == [
        "chalk.safetensors",
        "oil.safetensors",
    ]


def test_with_query_all_arguments_are_one(library: Library) -> None:
    assert names(library, "ink", by_query=True) == ["ink.safetensors"]


def test_what_is_missing_is_left_out_of_a_query(library: Library) -> None:
    (library.root / "ink.safetensors").unlink()
    library.index()
    assert "ink.safetensors" not in names(library, "type:lora")
    with pytest.raises(UnknownFile, match="those that it knows are missing"):
        names(library, "name:ink")


def test_a_file_that_is_named_twice_is_converted_once(library: Library) -> None:
    here = library.root / "ink.safetensors"
    os.link(here, "link.safetensors")
    assert names(library, str(here), "ink", "link.safetensors") == ["ink.safetensors"]


def test_a_folder_that_is_no_model_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="no diffusers model") as caught:
        require_model(tmp_path)
    assert "*.ckpt" in caught.value.hint
    (tmp_path / "model_index.json").write_text("{}")
    require_model(tmp_path)


def test_the_files_of_a_model_are_its_shards(tmp_path: Path) -> None:
    for number in (1, 2):
        content = safetensors({f"{number}": tensor(0, 4, 4)}, 4)
        (tmp_path / f"x-0000{number}-of-00002.safetensors").write_bytes(content)
    first = tmp_path / "x-00001-of-00002.safetensors"
    assert [path.name for path in files_of(first)] == [
        "x-00001-of-00002.safetensors",
        "x-00002-of-00002.safetensors",
    ]
    single = tmp_path / "a.safetensors"
    single.write_bytes(lora())
    assert files_of(single) == (single,)
