"""Tags, ratings, notes and own trigger words: normalised, on the content, never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog import Changed
from modelhub.catalog.tagnames import LONGEST_TAG
from modelhub.errors import QuerySyntaxError, UsageError

from .shelf import ROOT, Shelf


def test_tags_are_one_whatever_their_case_and_form(shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    shelf.catalog.tag([number], ["Hand  Drawn", "CAF\u00c9"])
    changed = shelf.catalog.tag([number], ["hand drawn", "cafe\u0301"])
    assert changed == Changed(files=1, blobs=0, unhashed=0)
    assert shelf.catalog.show(number).row.tags == ("caf\u00e9", "hand drawn")
    assert shelf.found('tag:"HAND drawn"') == shelf.found("tag:CAFÉ") == {"a.pt"}


@pytest.mark.parametrize("tag", ["", "  ", "a\0b", "x" * (LONGEST_TAG + 1), "\ue000"])
def test_a_tag_that_is_none_is_refused(shelf: Shelf, tag: str) -> None:
    number = shelf.put("a.pt")
    with pytest.raises(UsageError):
        shelf.catalog.tag([number], ["good", tag])
    assert shelf.catalog.tags() == []
    with pytest.raises(UsageError):
        shelf.catalog.tag([number], [])


def test_what_the_user_wrote_survives_everything(shelf: Shelf) -> None:
    catalog = shelf.catalog
    number = shelf.put("a.pt", "a")
    catalog.tag([number], ["keep"])
    catalog.rate([number], 4)
    catalog.note([number], "mine")
    catalog.set_trigger_words([number], ["my word"])
    catalog.record_moved(number, root=ROOT, path=Path("b.pt"))
    shelf.publish(1, "Published", content="a", words=("theirs",), tags=("published",))
    catalog.forget([number])
    again = shelf.put("again.pt", "a")
    details = catalog.show(again)
    assert (details.row.tags, details.row.rating, details.note) == (("keep",), 4, "mine")
    assert details.own_trigger_words == ("my word",)
    assert shelf.found("tag:keep rating:4 note:mine trigger:my") == {"again.pt"}


def test_copies_share_what_the_user_wrote(shelf: Shelf) -> None:
    first = shelf.put("a.pt", "same")
    shelf.put("b.pt", "same")
    shelf.catalog.tag([first], ["both"])
    assert shelf.found("tag:both") == {"a.pt", "b.pt"}


def test_a_query_names_the_files(shelf: Shelf) -> None:
    for name in ("anime a", "anime b", "photo"):
        shelf.put(f"{name}.pt")
    assert shelf.catalog.tag("anime", ["drawn"]) == Changed(files=2, blobs=2, unhashed=0)
    assert shelf.catalog.untag("name:photo", ["drawn"]) == Changed(files=1, blobs=0, unhashed=0)
    assert shelf.catalog.untag("tag:drawn", ["drawn"]) == Changed(files=2, blobs=2, unhashed=0)
    assert shelf.found("tag:drawn") == set()
    with pytest.raises(QuerySyntaxError):
        shelf.catalog.tag("size>", ["x"])


def test_files_that_were_never_hashed_are_counted_and_left_alone(shelf: Shelf) -> None:
    number = shelf.seen("new.pt")
    assert shelf.catalog.tag([number, 999], ["x"]) == Changed(files=1, blobs=0, unhashed=1)


def test_ratings_are_one_to_five_or_none(shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    for wrong in (0, 6, -1):
        with pytest.raises(UsageError):
            shelf.catalog.rate([number], wrong)
    shelf.catalog.rate([number], 5)
    assert shelf.catalog.rate([number], 5).blobs == 0
    assert shelf.catalog.rate([number], None).blobs == 1
    assert shelf.catalog.show(number).row.rating is None
    assert shelf.found("rating:none") == {"a.pt"}


def test_a_note_is_replaced_and_removed(shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    shelf.catalog.note([number], "  first thoughts\n")
    assert shelf.catalog.show(number).note == "first thoughts"
    shelf.catalog.note([number], "second")
    assert shelf.found("first") == set()
    assert shelf.found("second") == {"a.pt"}
    shelf.catalog.note([number], "")
    assert shelf.catalog.show(number).note is None
    with pytest.raises(UsageError):
        shelf.catalog.note([number], "x" * 100_001)


def test_every_change_is_in_the_history(shelf: Shelf) -> None:
    number = shelf.put("a.pt")
    shelf.catalog.tag([number], ["x"])
    shelf.catalog.tag([number], ["x"])
    shelf.catalog.rate([number], 3)
    events = shelf.catalog.show(number).events
    assert [(event.kind, event.text) for event in events] == [
        ("rated", "rated 3"),
        ("tagged", "tagged x"),
    ]


def test_tags_are_counted_and_found_by_their_start(shelf: Shelf) -> None:
    for name, tags in {"a": ["style", "anime"], "b": ["style"], "c": ["100%"]}.items():
        shelf.catalog.tag([shelf.put(f"{name}.pt")], tags)
    assert shelf.catalog.tags() == [("style", 2), ("100%", 1), ("anime", 1)]
    assert shelf.catalog.tags("ST") == [("style", 2)]
    assert shelf.catalog.tags("1") == [("100%", 1)]
    assert shelf.catalog.tags("%") == []


def test_many_files_are_tagged_at_once(shelf: Shelf) -> None:
    with shelf.catalog.transaction():
        for number in range(600):
            shelf.put(f"{number}.pt")
    assert shelf.catalog.tag("", ["all"]).blobs == 600
    assert shelf.catalog.count("tag:all") == 600
