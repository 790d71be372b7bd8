from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.text import (
    cell_width,
    clean,
    human_duration,
    human_size,
    json_safe,
    pad,
    plural,
    shorten,
)

any_text = st.text(st.characters(), max_size=40)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (None, "?"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (2_132_625_894, "1.99 GiB"),
        ((1 << 30) - 1, "1.00 GiB"),
        (5 << 40, "5.00 TiB"),
        (5000 << 40, "5000.00 TiB"),
    ],
)
def test_sizes_are_shown_in_binary_units(size: int | None, shown: str) -> None:
    assert human_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0.4, "0 s"),
        (59.6, "1 m 00 s"),
        (185, "3 m 05 s"),
        (7800, "2 h 10 m"),
        (266_400, "3 d 02 h"),
    ],
)
def test_durations_are_shown_in_two_units(seconds: float | None, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_plurals() -> None:
    assert [plural(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert plural(2, "copy", "copies") == "2 copies"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé, 模型, 🎨", "plain, ünïcödé, 模型, 🎨"),
        ("family 👨‍👩‍👧", "family 👨‍👩‍👧"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("csi \x9b31m", r"csi \x9b31m"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("undecodable \udcff", r"undecodable \udcff"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_what_could_drive_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(any_text)
def test_cleaned_text_is_one_printable_line(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert cleaned.splitlines() in ([], [cleaned])
    assert not set(cleaned) & set("\x1b\x9b\x07\x08\x7f\u202e\u2066")
    assert clean(cleaned) == cleaned


@given(any_text)
def test_json_on_screen_is_harmless_and_still_the_same_data(text: str) -> None:
    document = json_safe(json.dumps({"name": text}, indent=2, ensure_ascii=False))
    assert json.loads(document) == {"name": text}
    document.encode()
    assert not set(document) & set("\x1b\x9b\x7f\u202e\u2066")


@given(any_text, st.integers(0, 30), st.booleans())
def test_shortened_text_fits_and_padding_fills(text: str, width: int, middle: bool) -> None:
    text = clean(text)
    short = shorten(text, width, middle=middle)
    assert cell_width(short) <= width
    assert (short == text) == (cell_width(text) <= width)
    assert cell_width(pad(short, width)) == width


def test_names_cut_in_the_middle_keep_their_extension() -> None:
    assert shorten("abcdefghijklmnop.safetensors", 20, middle=True) == "abcdefghij…fetensors"
