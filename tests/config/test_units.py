from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.config.units import LARGEST, parse_bytes, written_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500k", 500_000),
        ("500K", 500_000),
        ("500KiB", 512_000),
        ("20MB/s", 20_000_000),
        ("20 mb/s", 20_000_000),
        ("1GiB", 1 << 30),
        ("1.5GiB", 3 << 29),
        (" 7 B ", 7),
        ("2TiB/s", 2 << 40),
        ("10Mbps", 10_000_000),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "fast", "-1", "1e9", "1 GiB x", "1iB", "GiB", "0x10", "9" * 30, "2000PB", "1,5G"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|exbibyte"):
        parse_bytes(text)


@given(st.integers(0, LARGEST))
def test_a_written_size_is_read_back_as_it_was(size: int) -> None:
    assert parse_bytes(written_bytes(size)) == size


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_refused_with_a_reason(text: str) -> None:
    try:
        size = parse_bytes(text)
    except ValueError as error:
        reason = str(error)
    else:
        reason = "read"
        assert 0 <= size <= LARGEST
    assert reason
