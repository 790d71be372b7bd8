"""The search language, asked of a catalog on each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, FileState, RenderRecord, Sort
from modelhub.catalog.fulltext import index
from modelhub.errors import QuerySyntaxError, UsageError

from .shelf import Shelf, blob, local, sha256_of


@pytest.fixture
def library(shelf: Shelf) -> Shelf:
    shelf.publish(
        1, "Dream Anime", content="dream", creator="Lykon", words=("1girl",), nsfw=False,
        tags=("anime", "Base Model"),
    )  # fmt: skip
    shelf.publish(2, "Ink Lines", content="ink", type="LORA", base="SDXL 1.0", creator="Ænima")
    shelf.publish(3, "Pony Style", content="pony", type="LoCon", base="Pony", nsfw=True)
    shelf.put(
        "checkpoints/Anime/dreamAnime_v10.safetensors", "dream", size=2_132_000_000,
        architecture="sd1", precision="fp16", ema=True, vae=True, format="safetensors",
    )  # fmt: skip
    shelf.put("loras/ink.safetensors", "ink", size=150_000_000, precision="bf16", vae=False)
    shelf.put("loras/sub/pony.safetensors", "pony", size=230_000_000)
    shelf.put("vae/old.ckpt", "vae", kind="vae", format="ckpt", pickle_verdict="suspicious")
    shelf.seen("loras/unhashed.pt", size=10)
    return shelf


DREAM = "checkpoints/Anime/dreamAnime_v10.safetensors"
INK = "loras/ink.safetensors"
PONY = "loras/sub/pony.safetensors"
VAE = "vae/old.ckpt"
UNHASHED = "loras/unhashed.pt"
ALL = {DREAM, INK, PONY, VAE, UNHASHED}


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ALL),
        ("drea", {DREAM}),
        ("dream anime", {DREAM}),
        ("dream ink", set()),
        ("anime -dream", set()),
        ("-dream", ALL - {DREAM}),
        ('"dream anime"', {DREAM}),
        ('"anime dream"', set()),
        ('"drea"', set()),
        ("1girl", {DREAM}),
        ("lykon", {DREAM}),
        ("ÆNIMA", {INK}),
        ("safetensors", {DREAM, INK, PONY}),
        ("type:lora", {INK}),
        ("type:lora,locon", {INK, PONY}),
        ("-type:lora", ALL - {INK}),
        ("type:LyCORIS", {PONY}),
        ("type:vae", {VAE}),
        ("base:sd15", {DREAM}),
        ("base:SD1", {DREAM}),
        ('base:"SD 1.5"', {DREAM}),
        ("base:sdxl", {INK}),
        ("base:pony", {PONY}),
        ("arch:sd1", {DREAM}),
        ("fp:float16", {DREAM}),
        ("format:ckpt", {VAE, UNHASHED}),
        ("format:safetensors", {DREAM, INK, PONY}),
        ("ema:yes", {DREAM}),
        ("ema:unknown", ALL - {DREAM}),
        ("vae:baked", {DREAM}),
        ("vae:none", {INK}),
        ("unsafe:yes", {VAE}),
        ("unsafe:no", {DREAM, INK, PONY}),
        ("unsafe:unknown", {UNHASHED}),
        ("nsfw:yes", {PONY}),
        ("nsfw:no", {DREAM}),
        ("state:new", {UNHASHED}),
        ("missing:no", ALL),
        ("missing:yes", set()),
        ("size>2GB", {DREAM}),
        ("size<100MB", {VAE, UNHASHED}),
        ("size:150MB", {INK}),
        ("size:100MB..300MB", {INK, PONY}),
        ("size:..1KB", {VAE, UNHASHED}),
        ("size>=230MB size<=230MB", {PONY}),
        ("-size>2GB", ALL - {DREAM}),
        ("path:anime/", {DREAM}),
        ("path:loras/", {INK, PONY, UNHASHED}),
        ("path:sub/", {PONY}),
        ("path:lor", {INK, PONY, UNHASHED}),
        ("path:oras", set()),
        ("path:/library/loras/s", {PONY}),
        ("path:/elsewhere", set()),
        ("name:ink", {INK}),
        ("name:lines", set()),
        ("model:lines", {INK}),
        ("model:2", {INK}),
        ("version:20,30", {INK, PONY}),
        ("version:v1", {DREAM, INK, PONY}),
        ("creator:lyk", {DREAM}),
        ("trigger:1girl", {DREAM}),
        ("tag:anime", {DREAM}),
        ('tag:"base model"', {DREAM}),
        ("used:never", ALL),
        ("rating:none", ALL),
        ("dup:no", ALL),
        (f"hash:{sha256_of('ink')[:8]}", {INK}),
        (f"hash:{sha256_of('ink').lower()}", {INK}),
        ("hash:00000000", set()),
        ("safetensors type:lora size<1GB -tag:old", {INK}),
        ("model:2,nothing,pony", {INK, PONY}),
    ],
)  # fmt: skip
def test_a_query_finds(library: Shelf, query: str, paths: set[str]) -> None:
    assert library.found(query) == paths


def test_files_are_found_by_when_they_were_added(shelf: Shelf) -> None:
    now = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
    ages = {"today": 0, "last week": 8, "last month": 40, "last year": 400}
    for name, days in ages.items():
        shelf.catalog._clock = lambda days=days: now - timedelta(days=days)  # type: ignore[misc]
        shelf.seen(name)
    shelf.catalog._clock = lambda: now
    assert shelf.found("added<7d") == {"today"}
    assert shelf.found("added>7d") == {"last week", "last month", "last year"}
    assert shelf.found("added:7d..6w") == {"last week", "last month"}
    assert shelf.found("added:2024") == {"today", "last week", "last month"}
    assert shelf.found("added:2024-05") == {"last month"}
    assert shelf.found("added<2024") == {"last year"}
    assert shelf.found("added:2024-06-01..2024-06-10") == {"last week"}
    assert shelf.found("added:..2024-05,today") == {"last month", "last year", "today"}
    assert shelf.found("-added:2024") == {"last year"}


def test_use_is_found(library: Shelf) -> None:
    render = RenderRecord(sha256=sha256_of("ink"), file=Path("/r/1.png"), parameters={"steps": 20})
    library.catalog.record_render(render)
    assert library.found("used:ever") == library.found("used<1d") == {INK}
    assert library.found("used:never") == ALL - {INK}
    assert library.found("used:never,1d") == ALL


def test_copies_are_found_until_one_goes(library: Shelf) -> None:
    copy = library.put("loras/copy.safetensors", "ink", size=150_000_000)
    assert library.found("dup:yes") == {INK, "loras/copy.safetensors"}
    library.missing(copy)
    assert library.found("dup:yes") == set()
    assert library.found("missing:yes") == {"loras/copy.safetensors"}


def test_a_japanese_name_is_found_by_any_part_of_it(shelf: Shelf) -> None:
    shelf.put("東京夜景.safetensors")
    shelf.put("京都.safetensors")
    assert shelf.found("夜景") == {"東京夜景.safetensors"}
    assert shelf.found("京") == {"東京夜景.safetensors", "京都.safetensors"}
    assert shelf.found("景夜") == set()


def test_accents_and_case_do_not_matter(shelf: Shelf) -> None:
    shelf.put("Café Ünïcode.safetensors")
    for query in ("cafe", "CAFÉ", "unicode", "cafe\u0301"):
        assert shelf.found(query) == {"Café Ünïcode.safetensors"}


def test_words_with_operators_of_other_languages_are_only_words(library: Shelf) -> None:
    for query in ("AND", "OR NOT", "NEAR(dream)", "dream*", "(dream", "dream^2", "'dream'", "a'b"):
        library.found(query)
    assert library.found("dream*") == library.found("(dream") == {DREAM}


def test_the_best_match_comes_first(shelf: Shelf) -> None:
    shelf.put("noted.safetensors")
    shelf.catalog.note("noted", "looks a bit like aurora, I think, from far away and at night")
    shelf.publish(1, "Aurora", content="model")
    shelf.put("model.safetensors", "model")
    shelf.put("other.safetensors")
    rows = shelf.catalog.list_files("aurora")
    assert [row.name for row in rows] == ["model.safetensors", "noted.safetensors"]


def test_a_common_word_gives_every_match_exactly_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sqlite", "postgres"):
        monkeypatch.setattr(f"modelhub.catalog.fulltext.{module}.CANDIDATES", 4)
    monkeypatch.setattr(index, "CANDIDATES", 4)
    with shelf.catalog.transaction():
        ids = {shelf.put(f"common{number}.safetensors") for number in range(11)}
    everything = shelf.catalog.list_files("common", limit=None)
    assert {row.id for row in everything} == ids
    pages = [
        row
        for offset in range(0, 12, 3)
        for row in shelf.catalog.list_files("common", limit=3, offset=offset)
    ]
    assert pages == everything


def test_a_common_word_in_an_order_is_walked_by_the_order(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelhub.catalog.fulltext.sqlite.FEW", 2)
    with shelf.catalog.transaction():
        for number in range(9):
            shelf.put(f"common{number}.safetensors", size=1000 + number)
            shelf.put(f"rare{number}.ckpt", size=2000 + number)
    for query in ("co", "common", "common format:safetensors", "common -ckpt size>1KB"):
        rows = shelf.catalog.list_files(query, sort=Sort.parse("size"), limit=3)
        assert [row.size for row in rows] == [1008, 1007, 1006]
    rows = shelf.catalog.list_files("-common", sort=Sort.parse("-size"), limit=2)
    assert [row.size for row in rows] == [2000, 2001]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["A.pt", "b.pt", "c.pt"]),
        ("-name", ["c.pt", "b.pt", "A.pt"]),
        ("size", ["A.pt", "b.pt", "c.pt"]),
        ("-size", ["c.pt", "b.pt", "A.pt"]),
        ("added", ["A.pt", "b.pt", "c.pt"]),
        ("rating", ["b.pt", "A.pt", "c.pt"]),
        ("type", ["c.pt", "b.pt", "A.pt"]),
        ("base", ["b.pt", "c.pt", "A.pt"]),
        ("path", ["c.pt", "b.pt", "A.pt"]),
    ],
)
def test_files_are_listed_in_order(shelf: Shelf, order: str, names: list[str]) -> None:
    shelf.put("x/c.pt", size=1, kind="checkpoint", architecture="sdxl")
    shelf.put("y/b.pt", size=2, kind="lora", architecture="sd1")
    shelf.put("z/A.pt", size=3)
    shelf.catalog.rate("name:b", 5)
    shelf.catalog.rate("name:a", 2)
    rows = shelf.catalog.list_files(sort=Sort.parse(order))
    assert [row.name for row in rows] == names


def test_a_type_that_is_new_on_civitai_is_found_once_there_is_one(library: Shelf) -> None:
    with pytest.raises(QuerySyntaxError, match="no file has the type"):
        library.found("type:hologram")
    library.publish(9, "Projector", content="holo", type="Hologram")
    library.put("holo.bin", "holo")
    assert library.found("type:hologram") == {"holo.bin"}


def test_a_slip_in_a_type_says_what_was_meant(library: Shelf) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        library.found("dream type:lroa")
    assert (caught.value.column, caught.value.expected) == (12, "`lora`")


def test_facets_count_what_was_found(library: Shelf) -> None:
    from modelhub.catalog import SortKey

    catalog = library.catalog
    catalog.rate("dream", 4)
    assert catalog.facets(SortKey.TYPE) == [
        ("checkpoint", 1), ("locon", 1), ("lora", 1), ("vae", 1),
    ]  # fmt: skip
    assert catalog.facets(SortKey.BASE, "path:loras/") == [("Pony", 1), ("SDXL 1.0", 1)]
    assert catalog.facets(SortKey.RATING) == [("4", 1)]
    assert sum(number for _, number in catalog.facets("format")) == 5
    with pytest.raises(UsageError):
        catalog.facets(SortKey.SIZE)


def test_limits_and_offsets_page_without_gaps(library: Shelf) -> None:
    catalog: Catalog = library.catalog
    pages = [catalog.list_files(limit=2, offset=offset)[:2] for offset in (0, 2, 4, 6)]
    assert [row.path for page in pages for row in page] == [
        row.path for row in catalog.list_files(limit=None)
    ]
    assert catalog.list_files(limit=0) == []
    with pytest.raises(UsageError):
        catalog.list_files(limit=-1)


def test_what_is_unread_in_a_transaction_is_found_in_it(catalog: Catalog) -> None:
    with catalog.transaction():
        number = catalog.record_local_file(local("a.pt"), blob=blob("a"))
        assert [row.id for row in catalog.list_files("name:a")] == [number]
        catalog.set_state([number], FileState.QUARANTINED)
        assert catalog.count("state:quarantined") == 1
