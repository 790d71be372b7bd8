from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.render.images.lettering import font_of, legible, lettering


@pytest.mark.parametrize(
    "text",
    ["sakushiMix v1.2 (fp16)", "модель", "Ελληνικά", "CFG 7 × 2 − ½", "Größe", "שלום", "مرحبا"],
)
def test_what_the_font_has_is_shown_as_it_is(text: str) -> None:
    assert legible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("漢字", "\\u6f22\\u5b57"),
        ("a🦊b", "a\\U0001f98ab"),
        ("safe\u202exslm.exe", "safe\\u202exslm.exe"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\udce9.ckpt", "\\udce9.ckpt"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("a\r\nb\tc", "a\nb c"),
    ],
)
def test_what_it_lacks_and_what_would_act_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    found = lettering("word " * 10_000, 14, 200, most_lines=5)
    assert len(found.lines) == 5
    assert found.lines[-1].endswith("…")


def test_words_stay_whole_where_they_fit() -> None:
    assert lettering("one two three", 20, 90).lines == ("one two", "three")


def test_a_word_wider_than_the_line_is_broken_within() -> None:
    found = lettering("x" * 40, 20, 100)
    assert "".join(found.lines) == "x" * 40
    assert len(found.lines) > 2


def test_no_text_takes_no_room() -> None:
    assert lettering("", 20, 100).height == 0
    assert lettering(" \n ", 20, 100).height == 0


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60), st.integers(1, 300), st.integers(1, 6))
def test_any_text_fits_into_its_width_and_its_lines(text: str, width: int, most: int) -> None:
    found = lettering(text, 12, width, most_lines=most)
    assert len(found.lines) <= most
    for line in found.lines:
        assert len(line) <= 1 or line == "…" or font_of(12).getlength(line) <= width
