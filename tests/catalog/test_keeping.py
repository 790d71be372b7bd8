"""Asking Civitai, verifying, duplicates, and the user's words going in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhub.catalog import (
    BlobRecord,
    Catalog,
    FileState,
    KnownKeys,
    ScannedFile,
    WeightScope,
    prepare,
    userwords,
)
from modelhub.errors import UnknownFile, UsageError

from .shelf import Shelf, sha256_of

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def test_contents_without_a_publication_are_asked_once(catalog: Catalog, shelf: Shelf) -> None:
    for name in ("a.pt", "b.pt", "c.pt", "gone.pt", "published.pt"):
        shelf.put(name, blake3="ab" * 32)
    shelf.put("copy.pt", "a.pt")
    shelf.missing(shelf.put("gone.pt"))
    shelf.publish(1, "Known", content="published.pt")
    shelf.seen("unhashed.pt")
    first = catalog.unmatched(2, asked_before=NOW)
    assert [key.sha256 for key in first] == [sha256_of("a.pt"), sha256_of("b.pt")]
    assert first[0].blake3 == "AB" * 32
    assert first[0].autov2 == sha256_of("a.pt")[:10]
    catalog.record_asked([key.sha256.lower() for key in first], NOW)
    [rest] = catalog.unmatched(2, asked_before=NOW)
    assert rest.sha256 == sha256_of("c.pt")
    assert len(catalog.unmatched(10, asked_before=NOW + DAY)) == 3
    both = catalog.unmatched(10, asked_before=NOW, everything=True)
    assert {key.sha256 for key in both} == {sha256_of("c.pt"), sha256_of("published.pt")}
    named = catalog.unmatched(10, asked_before=NOW + DAY, files="name:copy")
    assert [key.sha256 for key in named] == [sha256_of("a.pt")]
    row = catalog.resolve_file("b.pt")
    assert catalog.show(row.id).asked_at == NOW


def test_what_was_verified_longest_ago_comes_first(catalog: Catalog, shelf: Shelf) -> None:
    ids = [shelf.put(f"{number}.pt") for number in range(4)]
    shelf.missing(ids[3])
    catalog.record_verified(ids[0], NOW + DAY, ok=True)
    catalog.record_verified(ids[1], NOW + 2 * DAY, ok=False)
    order = catalog.reading_order()
    assert list(order.ids) == [ids[2], ids[0], ids[1]]
    assert list(order.verified)[:2] == [0.0, (NOW + DAY).timestamp()]
    due = catalog.due_files(order.ids)
    assert [one.id for one in due] == list(order.ids)
    assert due[0].verified_at is None
    assert (due[1].verified_at, due[1].sha256) == (NOW + DAY, sha256_of("0.pt"))
    assert due[0].file == Path("/library/2.pt")
    assert list(catalog.reading_order("name:0,1").ids) == [ids[0], ids[1]]
    details = catalog.show(ids[1])
    assert (details.verified_at, details.verify_ok) == (NOW + 2 * DAY, False)
    with pytest.raises(UnknownFile):
        catalog.record_verified(999, NOW, ok=True)


def test_a_fault_of_verification_is_searched_and_goes_with_it(
    catalog: Catalog, shelf: Shelf
) -> None:
    number = shelf.put("a.pt")
    shelf.publish(1, "Known", content="a.pt")
    catalog.record_verified(number, NOW, ok=False, fault="bit rot")
    assert shelf.found("fault:yes") == {"a.pt"}
    [due] = catalog.due_files([number])
    assert (due.fault, due.verify_ok, due.published) == ("bit rot", False, True)
    catalog.record_verified(number, NOW + DAY, ok=True)
    assert shelf.found("fault:yes") == set()


def test_duplicates_are_the_same_bytes_on_disk(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("small.pt", "x", size=10)
    shelf.put("small-copy.pt", "x", size=10)
    shelf.put("large.pt", "y", size=99)
    shelf.put("large-copy.pt", "y", size=99)
    shelf.missing(shelf.put("large-gone.pt", "y", size=99))
    shelf.put("alone.pt")
    sets = list(catalog.duplicates())
    assert [(one.sha256, [copy.path for copy in one.files]) for one in sets] == [
        (sha256_of("y"), ["large.pt", "large-copy.pt"]),
        (sha256_of("x"), ["small.pt", "small-copy.pt"]),
    ]


def test_values_are_searched_shown_and_taken_off(catalog: Catalog, shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    values = {"preferred_weight": "0.8", "usage_tips": "night scenes"}
    assert catalog.set_user_values("a", values).blobs == 1
    assert catalog.set_user_values("a", values).blobs == 0
    assert shelf.found("note:night") == {"a.pt"}
    assert catalog.show(number).user_values == values
    assert catalog.set_user_values("a", {"usage_tips": None}).blobs == 1
    assert shelf.found("night") == set()
    with pytest.raises(UsageError, match="'colour' is no value"):
        catalog.set_user_values("a", {"colour": "red"})
    with pytest.raises(UsageError, match="characters at most"):
        catalog.set_user_values("a", {"title": "x" * 20_000})


def test_imported_words_never_replace_what_the_user_wrote(catalog: Catalog, shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    catalog.note("a", "mine")
    catalog.rate("a", 5)
    catalog.tag("a", ["style"])
    catalog.set_trigger_words("a", ["ink"])
    words = {
        "note": "theirs",
        "trigger_words": ["INK", "wash"],
        "tags": ["Style", "new tag", "\x07bad", "x" * 200],
        "rating": 2,
        "values": {"vae": "ft-mse", "unheard": "of"},
        "source": "/library/a.json",
    }
    assert catalog.import_user_words(sha256_of("a.pt"), **words)  # type: ignore[arg-type]
    details = catalog.show(number)
    assert (details.note, details.row.rating) == ("mine", 5)
    assert details.row.tags == ("new tag", "style")
    assert details.own_trigger_words == ("ink", "wash")
    assert details.user_values == {"vae": "ft-mse"}
    assert details.events[0].kind == "imported"


def test_the_same_sidecar_is_imported_once(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("a.pt")
    key = sha256_of("a.pt")
    assert catalog.import_user_words(key, tags=["imported"], source="a.json")
    assert not catalog.import_user_words(key, tags=["imported"], source="a.json")
    catalog.untag("a", ["imported"])
    assert not catalog.import_user_words(key, tags=["imported"], source="a.json")
    assert shelf.found("tag:imported") == set()
    assert catalog.import_user_words(key, tags=["imported", "more"], source="a.json")
    assert shelf.found("tag:imported tag:more") == {"a.pt"}
    assert not catalog.import_user_words(key, tags=["more"], source="b.json")


def test_replacing_takes_what_is_given(catalog: Catalog, shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    catalog.note("a", "mine")
    catalog.tag("a", ["style"])
    catalog.rate("a", 5)
    assert catalog.import_user_words(
        sha256_of("a.pt"), note="theirs", tags=["other"], source="export", replace=True
    )
    details = catalog.show(number)
    assert (details.note, details.row.tags, details.row.rating) == ("theirs", ("other",), 5)


def test_what_other_tools_hold_is_cleaned(catalog: Catalog, shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    assert catalog.import_user_words(
        sha256_of("a.pt"),
        note="nul \0 and \ud800 " + "x" * 200_000,
        trigger_words=["ok", "x" * 600, " \n", "\ud800"],
        rating=9,
        values={"title": " ", "negative_text": "a\0b"},
        source="a\0.json",
    )
    details = catalog.show(number)
    assert details.note is not None
    assert len(details.note) == 100_000
    assert details.own_trigger_words == ("ok", "\ufffd")
    assert details.row.rating is None
    assert details.user_values == {"negative_text": "a\ufffdb"}
    with pytest.raises(UnknownFile):
        catalog.import_user_words("0" * 64, note="x", source="a.json")


def test_all_that_the_user_wrote_comes_out_and_goes_into_another_catalog(
    catalog: Catalog, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userwords, "PAGE", 2)
    for name in ("a.pt", "b.pt", "c.pt", "d.pt", "silent.pt"):
        shelf.put(name, crc32="00000001")
    catalog.tag("a", ["one", "two"])
    catalog.note("b", "noted")
    catalog.rate("c", 4)
    catalog.set_trigger_words("d", ["ink", "wash"])
    catalog.set_user_values("a", {"title": "A"})
    shelf.publish(1, "Known", content="silent.pt", words=("published",))
    exported = list(catalog.export_user_words())
    assert [one.paths for one in exported] == [(f"/library/{n}.pt",) for n in "abcd"]
    assert (exported[0].tags, exported[0].values) == (("one", "two"), {"title": "A"})
    assert exported[0].hashes["CRC32"] == "00000001"
    assert [one.note for one in exported] == [None, "noted", None, None]
    assert [one.rating for one in exported] == [None, None, 4, None]
    assert exported[3].trigger_words == ("ink", "wash")


def test_words_wait_for_a_content_that_is_not_here_yet(catalog: Catalog, shelf: Shelf) -> None:
    catalog.record_blob(BlobRecord(sha256=sha256_of("later"), size=1000))
    assert catalog.import_user_words(sha256_of("later"), tags=["kept"], source="export")
    shelf.put("came.pt", "later")
    assert shelf.found("tag:kept") == {"came.pt"}


def test_show_tells_identity_evidence_and_parts(catalog: Catalog) -> None:
    from modelhub.catalog import Found

    root = catalog.add_root(Path("/library"))
    header = (
        '{"identity": {"kind": "lora", "evidence": [{"field": "kind", "value": "lora",'
        ' "because": "lora_down"}]}, "metadata": {"a": "b"}, "parts": []}'
    )
    found = Found(kind="lora", header=header, trigger_words=("ink",), known_vae="ft-mse")
    files = [
        ScannedFile(path="m-1.safetensors", size=5, mtime_ns=1, found=found),
        ScannedFile(path="m-2.safetensors", size=6, mtime_ns=1, part_of="m-1.safetensors"),
    ]
    catalog.record_scanned(root, [prepare(one, NOW) for one in files])
    details = catalog.show(catalog.resolve_file("m-1").id)
    assert details.identity is not None
    assert details.identity["evidence"][0]["because"] == "lora_down"
    assert (details.known_vae, details.trained_words) == ("ft-mse", ("ink",))
    [part] = details.parts
    assert (part.path, part.size, part.state) == ("m-2.safetensors", 6, FileState.NEW)


def test_one_event_is_found_by_its_number(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("a.pt")
    catalog.tag("a", ["x"])
    [latest] = catalog.events(limit=1)
    assert catalog.event(latest.id) == latest
    assert catalog.event(latest.id + 1) is None


def test_keys_of_weights_are_kept_by_content(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("a.safetensors", format="safetensors", kind="lora")
    shelf.put("copy.safetensors", "a.safetensors")
    shelf.put("b.ckpt", format="ckpt")
    shelf.put("page.html", format="other")
    shelf.missing(shelf.put("gone.safetensors", format="safetensors"))
    files = catalog.weight_files()
    assert [(one.path, one.kind) for one in files] == [("a.safetensors", "lora"), ("b.ckpt", None)]
    first, second = (one.sha256 for one in files)
    keys = KnownKeys("fp16", {"exact": "AA", "fp16": "BB", "bf16": "CC"})
    catalog.record_weight_keys(first, WeightScope.ALL, KnownKeys("exact", {"exact": "00"}))
    catalog.record_weight_keys(first.lower(), WeightScope.ALL, keys)
    catalog.record_weight_keys(second, WeightScope.ALL, KnownKeys("none", {}))
    known = catalog.weight_keys(WeightScope.ALL)
    assert known == {first: keys, second: KnownKeys("none", {})}
    assert catalog.weight_keys(WeightScope.ALL, [second]) == {second: KnownKeys("none", {})}
    assert catalog.weight_keys(WeightScope.VAE) == {}
    assert catalog.with_weight_key(WeightScope.ALL, "fp16", "BB") == [first]
    assert catalog.with_weight_key(WeightScope.VAE, "fp16", "BB") == []
    with pytest.raises(UnknownFile):
        catalog.record_weight_keys("0" * 64, WeightScope.ALL, keys)
