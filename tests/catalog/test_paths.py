"""The catalog's spelling of paths, and its order of sorts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog import Sort, SortKey, decode_path, encode_path
from modelhub.catalog.describing import base_name
from modelhub.errors import UsageError

NAMES = st.binary(min_size=1, max_size=12).map(
    lambda name: name.replace(b"/", b"-").replace(b"\0", b"0")
)


@given(st.lists(NAMES, min_size=1, max_size=4), st.booleans())
def test_any_path_comes_back(names: list[bytes], absolute: bool) -> None:
    path = Path(os.fsdecode((b"/" if absolute else b"") + b"/".join(names)))
    text = encode_path(path)
    text.encode()
    assert os.fsencode(decode_path(text)) == os.fsencode(path)
    if path.name:
        assert base_name(text) == encode_path(Path(path.name))


@given(st.lists(NAMES, min_size=1), st.lists(NAMES, min_size=1))
def test_two_paths_are_never_spelled_alike(first: list[bytes], second: list[bytes]) -> None:
    one, other = (Path(os.fsdecode(b"/".join(names))) for names in (first, second))
    assert (encode_path(one) == encode_path(other)) == (one == other)


def test_an_ordinary_path_is_spelled_as_it_is() -> None:
    for text in ("/a/b.pt", "a/é/花.pt", "a b"):
        assert encode_path(Path(text)) == text
    assert encode_path(Path(os.fsdecode(b"/a/caf\xe9.pt"))) == "/a/caf//e9.pt"
    with pytest.raises(ValueError, match="NUL"):
        encode_path(Path("a\0"))


def test_orders_are_named_as_columns_are() -> None:
    assert Sort.parse("size") == Sort(SortKey.SIZE)
    assert Sort.parse("-Name") == Sort(SortKey.NAME, reverse=True)
    assert Sort.parse("size").descending
    assert not Sort.parse("-size").descending
    for wrong in ("", "colour", "--size", "-relevance"):
        with pytest.raises(UsageError):
            Sort.parse(wrong)
