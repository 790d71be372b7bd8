"""Values that no honest file, page or person has, on each database: kept as far as can be."""

from __future__ import annotations

import os
import random
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog import Catalog, EventRecord, FileState, ModelRecord, RenderRecord
from modelhub.catalog.tagnames import normalised_tag
from modelhub.errors import ModelhubError, UnknownFile, UsageError

from .shelf import Shelf, blob, local, sha256_of

LONE = "caf\udce9 \ud800 \0"
"""What no JSON encoder and no database takes."""


def noise(length: int, *, seed: int = 7) -> str:
    """Text that does not compress, as PostgreSQL's index limits are of compressed values."""
    return "".join(random.Random(seed).choices("bcdfghjklmnpqrstvwxz0123456789", k=length))


def test_lone_surrogates_are_recorded_wherever_a_text_is(shelf: Shelf) -> None:
    catalog = shelf.catalog
    shelf.publish(
        1, LONE, content="a", type=f"LORA{LONE}", base=LONE, version=LONE, words=(LONE,),
        tags=(LONE,), creator=LONE, file={"name": LONE, "fp": LONE, "format": LONE},
    )  # fmt: skip
    number = shelf.put("a.pt", "a", header=LONE)
    catalog.note([number], LONE)
    catalog.set_trigger_words([number], [LONE])
    catalog.record_render(
        RenderRecord(
            sha256=sha256_of("a"), file=Path("/r.png"), prompt=LONE, parameters={LONE: [LONE]}
        )
    )
    catalog.record_event(EventRecord(kind="moved", text=LONE, detail={"from": LONE}))
    details = catalog.show(number)
    assert details.note == details.row.model_name == "caf\ufffd \ufffd \ufffd"
    assert catalog.events(kinds=["moved"])[0].detail == {"from": "caf\ufffd \ufffd \0"}
    assert shelf.found("caf") == {"a.pt"}


def test_writing_the_same_unstorable_text_twice_changes_nothing(shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    for expected in (1, 0):
        assert shelf.catalog.note([number], "a\0b").blobs == expected
        assert shelf.catalog.set_trigger_words([number], ["a\0b"]).blobs == expected


def test_texts_of_any_length_are_recorded(shelf: Shelf) -> None:
    words = " ".join(noise(64, seed=seed) for seed in range(3000))
    shelf.publish(
        1, words, content="a", type=noise(9000), base=noise(9000, seed=8), version=noise(9000),
        words=tuple(words.split()), tags=tuple(words.split()), creator=noise(9000),
        file={"name": noise(9000), "fp": noise(9000), "format": noise(9000)},
    )  # fmt: skip
    number = shelf.put("a.pt", "a")
    shelf.catalog.note([number], words[:90_000])
    assert shelf.catalog.show(number).row.model_name == words
    assert shelf.catalog.count(words.split()[0]) == 1


def test_a_deep_path_is_recorded(shelf: Shelf) -> None:
    path = "/".join(noise(250, seed=seed) for seed in range(10))
    number = shelf.put(f"{path}.pt")
    assert shelf.catalog.show(number).row.path == f"{path}.pt"
    assert shelf.put(f"{path}.pt") == number
    assert shelf.catalog.resolve_file(f"{path}.pt").id == number


def test_numbers_beyond_the_database_are_left_out(shelf: Shelf) -> None:
    number = shelf.put("a.pt", parameters=2**70)
    assert shelf.catalog.show(number).parameters is None


def test_a_file_from_the_far_future_is_known_again(shelf: Shelf) -> None:
    for mtime_ns in (2**63 + 5, -(2**63) - 5):
        number = shelf.catalog.record_local_file(local("a.pt", mtime_ns=mtime_ns), blob=blob("a"))
        shelf.seen("a.pt", mtime_ns=mtime_ns)
        assert shelf.catalog.show(number).row.state is FileState.HASHED


@pytest.mark.parametrize(
    "at",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
    ],
)
def test_times_at_the_ends_of_the_calendar_are_recorded(catalog: Catalog, at: datetime) -> None:
    catalog.record_published(
        ModelRecord(id=1, name="a", type="LORA", fetched_at=at, raw="{}"),
    )
    kept = catalog.raw_answer(model_id=1)
    assert kept is not None
    assert kept[1].year in (1, 9999)


@pytest.mark.parametrize(
    "text",
    ["~no_such_user/a.pt", "\ud800", "caf\udce9.pt", "a\0", "x" * 9000, "//a", "%", "\U0010ffff"],
)
def test_whatever_is_typed_for_a_file_is_unknown_at_worst(shelf: Shelf, text: str) -> None:
    shelf.put("a.pt")
    with pytest.raises(UnknownFile):
        shelf.catalog.resolve_file(text)


def test_a_file_whose_name_is_no_utf8_is_named_by_it(shelf: Shelf) -> None:
    name = os.fsdecode(b"Caf\xe9.pt")
    number = shelf.put(f"sub/{name}", "c")
    for text in (name, name.lower(), name[:4], f"sub/{name}", f"/library/sub/{name}"):
        assert shelf.catalog.resolve_file(text).id == number, text


@pytest.mark.parametrize(
    "query",
    ["\0", "a\0b", "\ud800", 'tag:"\udce9"', "name:\ud800", "path:\udce9/", "model:" + "9" * 30,
     "x" * 5000, "version:" + "9" * 30, "size>" + "9" * 30 + "TB", '"\0"', "hash:" + "a" * 64],
)  # fmt: skip
def test_a_query_of_any_characters_is_answered_or_refused(shelf: Shelf, query: str) -> None:
    shelf.put("a.pt")
    try:
        assert shelf.catalog.list_files(query) == []
    except ModelhubError as error:
        error.message.encode()


def test_limits_beyond_all_numbers_are_none_and_negative_ones_are_refused(shelf: Shelf) -> None:
    shelf.put("a.pt")
    catalog = shelf.catalog
    assert len(catalog.list_files(limit=10**30)) == 1
    assert len(catalog.list_files("pt", limit=sys.maxsize)) == 1
    assert catalog.list_files(limit=10, offset=10**30) == []
    assert catalog.list_files("pt", limit=10, offset=10**30) == []
    assert catalog.events(limit=10**30) == []
    for ask in (lambda: catalog.events(limit=-1), lambda: catalog.tags(limit=-1)):
        with pytest.raises(UsageError):
            ask()


def test_prefixes_of_tags_may_be_anything(shelf: Shelf) -> None:
    shelf.catalog.tag([shelf.put("a.pt")], ["x"])
    for prefix in ("\0", "\ud800", "\udce9", "_", "\\"):
        assert shelf.catalog.tags(prefix) == []


@given(st.text(max_size=40))
def test_a_normalised_tag_is_its_own_spelling(text: str) -> None:
    try:
        tag = normalised_tag(text)
    except UsageError:
        return
    assert normalised_tag(tag) == tag
    assert normalised_tag(tag.upper()) == normalised_tag(tag.upper().lower())


def test_a_republished_file_is_known_by_its_new_content(shelf: Shelf) -> None:
    shelf.publish(1, "Again", content="old")
    old = shelf.put("old.pt", "old")
    shelf.publish(1, "Again", content="new")
    new = shelf.put("new.pt", "new")
    assert shelf.catalog.show(new).row.model_name == "Again"
    shelf.publish(2, "Other", content="old")
    assert shelf.catalog.show(old).row.model_name == "Other"


def test_a_republished_file_is_known_by_content_that_was_here_before(shelf: Shelf) -> None:
    shelf.publish(1, "Again", content="old")
    old = shelf.catalog.record_local_file(local("old.pt"), blob=blob("old"), remote_file_id=100)
    new = shelf.put("new.pt", "new")
    shelf.publish(1, "Again", content="new")
    assert shelf.catalog.show(new).row.model_name == "Again"
    assert shelf.catalog.show(old).row.model_name == "Again"
