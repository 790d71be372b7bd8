"""What is proposed while a query is typed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.search.completions import MOST, Completion, completions
from modelhub.catalog.search.fields import FIELDS
from modelhub.catalog.search.parser import parse


def texts(query: str) -> list[str]:
    return [one.text for one in completions(query, len(query))]


def test_nothing_typed_proposes_every_field() -> None:
    found = texts("")
    assert len(found) == len(FIELDS)
    assert {"type:", "size>", "added>", "rating>", "tag:"} <= set(found)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ty", ["type:"]),
        ("anime -TY", ["type:"]),
        ("type:ch", ["checkpoint"]),
        ("type:lora,ch", ["checkpoint"]),
        ('"a b" ty', ["type:"]),
        ('creator:"a b" rating:n', ["none"]),
        ("size:>t", []),
        ("rating:>=4", ["4"]),
        ('tag:"a, b",', []),
        ('type:"lora",ch', ["checkpoint"]),
        ("-ema:", ["yes", "no", "unknown"]),
        ("rating>=4", ["4"]),
        ("used:ne", ["never"]),
        ("nothing:x", []),
        ('"a phrase', []),
        ("tag:", []),
    ],
)
def test_fields_and_values_are_proposed(query: str, expected: list[str]) -> None:
    assert texts(query) == expected


def test_a_proposal_replaces_what_it_completes() -> None:
    query = "anime type:lora,ch size>2GB"
    cursor = query.index(" size")
    assert completions(query, cursor) == [Completion("checkpoint", query.index("ch "))]


def test_values_with_spaces_come_in_quotes_and_are_told_apart_by_their_start() -> None:
    asked = []

    def values(field: str, prefix: str) -> Iterable[str]:
        asked.append((field, prefix))
        return ["two words", 'say "hi"', "plain"]

    assert [one.text for one in completions('tag:"tw', 7, values)] == ['"two words"']
    found = [one.text for one in completions("tag:", 4, values)]
    assert found == ['"two words"', '"say \\"hi\\""', "plain"]
    assert asked == [("tag", "tw"), ("tag", "")]
    for text in found:
        assert parse(f"tag:{text}")


@given(st.text(max_size=40), st.integers(0, 45))
def test_any_text_can_be_completed(text: str, cursor: int) -> None:
    for one in completions(text, cursor, lambda *_: ["a b"]):
        assert 0 <= one.start <= cursor
    assert len(completions(text, cursor)) <= MOST
