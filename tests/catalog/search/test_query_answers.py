"""Every field of the search language, asked of a small catalog on SQLite."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.catalog import (
    BlobRecord,
    Catalog,
    FileState,
    LocalFileRecord,
    ModelRecord,
    RemoteFileRecord,
    RenderRecord,
    Sort,
    VersionRecord,
    open_catalog,
)
from modelhub.catalog.fulltext import sqlite
from modelhub.config.settings import CatalogSettings, Config
from modelhub.errors import QuerySyntaxError

ROOT, OTHER = Path("/library/Modèles"), Path("/mnt/second")
NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
GB = 1_000_000_000


@dataclasses.dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclasses.dataclass
class Library:
    """A catalog, and its files by a letter."""

    catalog: Catalog
    ids: dict[str, int]

    def found(self, query: str) -> str:
        """The letters of the files that are found, from A to Z."""
        letters = {number: letter for letter, number in self.ids.items()}
        rows = self.catalog.list_files(query, limit=None)
        by_size = self.catalog.list_files(query, sort=Sort.parse("size"), limit=50)
        assert {row.id for row in rows} == {row.id for row in by_size}
        assert self.catalog.count(query) == len(rows)
        return "".join(sorted(letters[row.id] for row in rows))


def published(catalog: Catalog) -> None:
    """Two models: a checkpoint by Ālise with a VAE beside it, and a LoRA."""
    for number, name, kind, base, creator, tags, words, nsfw in (
        (10, "Sakushi Mix", "Checkpoint", "SD 1.5", "Ālise", ("Anime", "base model"), (), False),
        (20, "細部 Detail Tweaker", "LORA", "SDXL 1.0", "bob-99", ("style",), ("more details",),
         True),
    ):  # fmt: skip
        catalog.record_published(
            ModelRecord(id=number, name=name, type=kind, fetched_at=NOW, creator=creator,
                        tags=tags, nsfw=nsfw),
            [VersionRecord(id=number * 10, model_id=number, name="v2 final", fetched_at=NOW,
                           base_model=base, trained_words=words)],
            [RemoteFileRecord(id=number * 100, version_id=number * 10, name=f"{name}.safetensors",
                              type="Model", format="SafeTensor", primary=True,
                              blake3=f"B3{number:062}")],
        )  # fmt: skip


FILES: tuple[tuple[str, Path, str, float, int, dict[str, object]], ...] = (
    ("a", ROOT, "checkpoints/SD 1.5/sakushimixFinal.safetensors", 2.1, 0,
     {"format": "safetensors", "kind": "checkpoint", "architecture": "sd1", "precision": "fp16",
      "ema": False, "vae": True}),
    ("b", ROOT, "loras/detail_tweaker_v2.safetensors", 0.2, 10,
     {"format": "safetensors", "kind": "lora", "architecture": "sdxl", "precision": "bf16"}),
    ("c", ROOT, "old/unknown-merge.ckpt", 4.3, 40,
     {"format": "ckpt", "kind": "checkpoint", "architecture": "sdxl", "precision": "fp32",
      "ema": True, "vae": False, "pickle_verdict": "dangerous"}),
    ("d", OTHER, "copy/of-merge.ckpt", 4.3, 400, {}),
    ("e", OTHER, "アニメ/墨絵風_Ñandú.safetensors", 0.1, 800,
     {"format": "safetensors", "kind": "embedding", "architecture": "sd1"}),
    ("f", OTHER, "not_read_100%.gguf", 6.0, 3, {}),
)  # fmt: skip
CONTENT = {"a": "A", "b": "B", "c": "C", "d": "C", "e": "E"}


def fill(catalog: Catalog, clock: Clock) -> dict[str, int]:
    published(catalog)
    ids = {}
    for letter, root, path, gigabytes, days, facts in FILES:
        clock.now = NOW - timedelta(days=days)
        size = int(gigabytes * GB)
        content = CONTENT.get(letter)
        fields = {"crc32": "0ACE1234"} if letter == "a" else {}
        blob = content and BlobRecord(sha256=content * 64, size=size, **fields, **facts)  # type: ignore[arg-type]
        ids[letter] = catalog.record_local_file(
            LocalFileRecord(root=root, path=Path(path), size=size, mtime_ns=1),
            blob=blob or None,
            remote_file_id={"a": 1000, "b": 2000}.get(letter),
        )
    clock.now = NOW
    catalog.tag([ids["a"], ids["c"]], ["Old", "two words"])
    catalog.tag([ids["b"]], ["c++"])
    catalog.rate([ids["a"]], 5)
    catalog.rate([ids["b"]], 3)
    catalog.note([ids["e"]], "Ink wash, 100% recommended; 'quotes' OR \"more\"")
    catalog.set_trigger_words([ids["e"]], ["sumi-e style"])
    catalog.set_state([ids["e"]], FileState.MISSING)
    image = Path("/library/renders/1.png")
    render = RenderRecord(sha256="B" * 64, file=image, parameters={}, created_at=NOW - timedelta(5))
    catalog.record_render(render)
    return ids


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    path = tmp_path_factory.mktemp("library") / "catalog.db"
    clock = Clock()
    config = Config(catalog=CatalogSettings(database_url=f"sqlite:///{path}"))
    with open_catalog(config, clock=clock) as catalog:
        yield Library(catalog, fill(catalog, clock))


@pytest.mark.parametrize(
    ("query", "letters"),
    [
        ("", "abcdef"),
        # words
        ("sakushi", "a"),
        ("SAKU", "a"),
        ("mix sakushi", "a"),
        ("sakushi detail", ""),
        ("final", "ab"),
        ("-final", "cdef"),
        ("alise", "a"),
        ("ālise", "a"),
        ("nandu", "e"),
        ("ÑANDÚ", "e"),
        ("墨絵", "e"),
        ("絵風", "e"),
        ("細部", "b"),
        ("絵墨", ""),
        ("recommended", "e"),
        ("sumi", "e"),
        ("details", "b"),
        ("style", "be"),
        ("merge", "cd"),
        ("unknown-merge.ckpt", "c"),
        # phrases are whole words in a row
        ('"detail tweaker"', "b"),
        ('"tweaker detail"', ""),
        ('"detail tweak"', ""),
        ('-"detail tweaker" style', "e"),
        # fields of lists
        ("type:lora", "b"),
        ("TYPE:LoRA", "b"),
        ("type:lora,checkpoint", "abcd"),
        ("type=checkpoint", "acd"),
        ("-type:checkpoint", "bef"),
        ("-type:checkpoint,lora", "ef"),
        ("base:sd15", "ae"),
        ('base:"SD 1.5"', "ae"),
        ("base:sdxl", "bcd"),
        ("arch:sdxl", "bcd"),
        ("arch:sd1 type:checkpoint", "a"),
        ("fp:fp16", "a"),
        ("fp:half,bfloat16", "ab"),
        ("format:st", "abe"),
        ("format:ckpt", "cd"),
        ("format:gguf", "f"),
        # tags
        ("tag:old", "acd"),
        ("tag:OLD -fp:fp16", "cd"),
        ("-tag:old", "bef"),
        ('tag:"two words"', "acd"),
        ("tag:c++", "b"),
        ("tag:c", ""),
        ("tag:anime", "a"),
        ('tag:style,"base model"', "ab"),
        # yes or no
        ("ema:yes", "cd"),
        ("ema:no", "a"),
        ("ema:unknown", "bef"),
        ("vae:baked", "a"),
        ("vae:none", "cd"),
        ("unsafe:yes", "cd"),
        ("unsafe:no", "abe"),
        ("unsafe:unknown", "f"),
        ("nsfw:yes", "b"),
        ("nsfw:no", "a"),
        ("missing:yes", "e"),
        ("missing:no", "abcdf"),
        ("-missing:no", "e"),
        ("dup:yes", "cd"),
        ("dup:no", "abef"),
        ("state:new", "f"),
        ("state:new,missing", "ef"),
        # use
        ("used:never", "acdef"),
        ("used:ever", "b"),
        ("used<7d", "b"),
        ("used<4d", ""),
        ("used:2024-06", "b"),
        ("used:never,2024-06", "abcdef"),
        # times
        ("added<30d", "abf"),
        ("added>30d", "cde"),
        ("added<1y", "abcf"),
        ("added:30d..2y", "cd"),
        ("added:2024-05", "c"),
        ("added:2024", "abcf"),
        ("added<2024", "de"),
        ("added<=2024-05", "cde"),
        ("added>2024-05", "abf"),
        ("added>=2024-05", "abcf"),
        ("added:2023..2024-05", "cd"),
        ("added:2023-06..", "abcf"),
        ("added:..2023", "de"),
        ("-added<30d", "cde"),
        ("added:2022,2023", "de"),
        # sizes
        ("size>2GB", "acdf"),
        ("size<=200MB", "be"),
        ("size<200MB", "e"),
        ("size:2GB", "a"),
        ("size:2.1GB", "a"),
        ("size:2.0GB", ""),
        ("size:2GB..5GB", "acd"),
        ("size:..1GB", "be"),
        ("size:4GB..", "cdf"),
        ("size:2GB,6GB", "af"),
        ("-size>2GB", "be"),
        ("size>4GiB", "cdf"),
        ("size<0", ""),
        # ratings
        ("rating:5", "a"),
        ("rating>=3", "ab"),
        ("rating<5", "b"),
        ("rating:3..5", "ab"),
        ("rating:none", "cdef"),
        ("-rating:none", "ab"),
        # texts
        ("creator:alise", "a"),
        ("creator:bob", "b"),
        ("creator:bob-99,alise", "ab"),
        ("name:tweaker", "b"),
        ("name:sakushi", "a"),
        ("name:final", "a"),
        ("model:final", ""),
        ("version:final", "ab"),
        ('model:"detail tweaker"', "b"),
        ("model:20", "b"),
        ("version:100", "a"),
        ('trigger:"more det"', "b"),
        ("note:recommended", "e"),
        ("note:ink", "e"),
        # paths
        ("path:loras/", "b"),
        ("path:lora", "b"),
        ("path:oras", ""),
        ("path:detail_tweaker", "b"),
        ("path:detail-tweaker", ""),
        ("path:アニメ/", "e"),
        ("path:アニ", "e"),
        ('path:"checkpoints/sd 1.5/"', "a"),
        ('path:"SD 1.5/saku"', "a"),
        ("path:not_read_100%", "f"),
        ("path:not%", ""),
        ("path:old/,copy/", "cd"),
        ("-path:old/", "abdef"),
        ("path:/library/", "abc"),
        ("path:/library/modeles/old", "c"),
        ("path:/library/Modèles/old/", "c"),
        ("path:/mnt", "def"),
        ("path:/mnt/second/copy/", "d"),
        ("path:/nowhere/", ""),
        ("-path:/mnt", "abc"),
        # hashes
        ("hash:AAAA", "a"),
        ("hash:" + "c" * 64, "cd"),
        ("hash:0ace1234", "a"),
        ("hash:B300", "ab"),
        ("hash:AAAA,BBBB", "ab"),
        ("-hash:cccc", "abef"),
        ("hash:dddd", ""),
        # together
        ("merge type:checkpoint size>4GB -path:copy/ unsafe:yes", "c"),
        ("-merge", "abef"),
        ('-style -"merge" -rating:5', "f"),
    ],
)
def test_a_query_finds_exactly(library: Library, query: str, letters: str) -> None:
    assert library.found(query) == letters


@pytest.mark.parametrize(
    ("query", "column", "expected"),
    [
        ("type:lroa", 6, "`lora`"),
        ("anime type:lora,chekpoint", 17, "`checkpoint`"),
        ("base:sdlx", 6, "`sdxl`"),
        ("fp:fp166", 4, "`fp16`"),
        ("format:safetensor5", 8, "`safetensors`"),
        ("arch:qqqqqqqq", 6, "one of sd1, sd2"),
    ],
)
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(
    library: Library, query: str, column: int, expected: str
) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        library.catalog.list_files(query)
    assert caught.value.column == column
    assert caught.value.expected.startswith(expected)


def test_all_callers_of_a_query_answer_a_mistake(library: Library) -> None:
    catalog = library.catalog
    calls: tuple[Callable[[], object], ...] = (
        lambda: catalog.list_files("tyep:lora"),
        lambda: catalog.count("tyep:lora"),
        lambda: catalog.tag("tyep:lora", ["x"]),
    )
    for call in calls:
        with pytest.raises(QuerySyntaxError, match="column 1: expected `type`"):
            call()


def test_a_name_counts_more_than_a_note(library: Library) -> None:
    rows = library.catalog.list_files("detail")
    assert [row.id for row in rows] == [library.ids["b"]]
    catalog = library.catalog
    catalog.note([library.ids["c"]], "better than sakushi")
    try:
        found = [row.id for row in catalog.list_files("sakushi")]
        assert found == [library.ids["a"], library.ids["d"], library.ids["c"]]
    finally:
        catalog.note([library.ids["c"]], None)


@pytest.mark.parametrize(("few", "many"), [(9, 9), (1, 9), (1, 1)])
@pytest.mark.parametrize(
    "query", ["merge", "type:checkpoint", "size>2GB", "path:old", "hash:cccc", "added:30d..2y"]
)
@pytest.mark.parametrize("order", ["size", "-size", "name", "added"])
def test_pages_in_an_order_hold_every_file_once(
    library: Library, query: str, order: str, few: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FEW", few)
    monkeypatch.setattr(sqlite, "MANY", many)
    sort = Sort.parse(order)
    whole = [row.id for row in library.catalog.list_files(query, sort=sort, limit=None)]
    pages = [
        row.id
        for offset in range(len(whole) + 1)
        for row in library.catalog.list_files(query, sort=sort, limit=1, offset=offset)
    ]
    assert pages == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.one_of(
                st.text(min_size=1, max_size=8),
                st.sampled_from(
                    ["creator:", "path:", "tag:", "note:", "-", '"', "NOT", "NEAR(", "*"]
                ),
            ),
            max_size=6,
        ).map("".join),
    )
)  # fmt: skip
def test_no_text_upsets_the_database(library: Library, text: str) -> None:
    with contextlib.suppress(QuerySyntaxError):
        rows = library.catalog.list_files(text)
        assert library.catalog.count(text) == len(rows)


def test_the_user_s_tags_are_completed(library: Library) -> None:
    texts = [one.text for one in library.catalog.completions("tag:tw")]
    assert texts == ['"two words"']
