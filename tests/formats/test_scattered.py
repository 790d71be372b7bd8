"""Views in any layout, read in boxes of any size, are what numpy makes of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.formats import scattered
from modelhub.formats.scattered import Axis, axes_of, gathered, is_in_one_piece

DATA = np.random.default_rng(0).integers(0, 256, 60_000, dtype=np.uint8).tobytes()


class Reads:
    """Gives bytes of some data, and notes what was asked for."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.spans: list[tuple[int, int]] = []

    def __call__(self, position: int, buffer: memoryview) -> None:
        assert 0 <= position <= position + len(buffer) <= len(self.data)
        self.spans.append((position, len(buffer)))
        buffer[:] = self.data[position : position + len(buffer)]


@contextmanager
def bounds(most: int, gap: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattered, "MOST_HELD", most)
        patch.setattr(scattered, "_GAP", gap)
        yield


@st.composite
def views(draw: st.DrawFn) -> tuple[list[int], list[int], int, int]:
    """Shape, stride, size of an element, and position."""
    size = draw(st.sampled_from([1, 2, 4, 8, 16]))
    shape = draw(st.lists(st.integers(1, 9), max_size=4))
    stride = [draw(st.sampled_from([0, 1, 2, 3, 7, 9, 50, 81])) for _ in shape]
    span = size * (1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)))
    return shape, stride, size, draw(st.integers(0, len(DATA) - span))


def strided(view: tuple[list[int], list[int], int, int]) -> bytes:
    shape, stride, size, position = view
    steps = tuple(step * size for step in stride)
    whole = np.ndarray(tuple(shape), f"V{size}", DATA, position, steps)
    return whole.tobytes()


@given(views(), st.sampled_from([64, 200, 1000, 1 << 20]), st.sampled_from([0, 8, 200, 4096]))
def test_every_view_comes_out_in_the_order_of_its_indices(
    view: tuple[list[int], list[int], int, int], most: int, gap: int
) -> None:
    shape, stride, size, position = view
    reads = Reads()
    with bounds(most, gap):
        pieces = [
            bytes(one) for one in gathered(reads, position, axes_of(shape, stride, size), size)
        ]
    assert b"".join(pieces) == strided(view)
    assert max(map(len, pieces)) <= most
    assert max(length for _, length in reads.spans) <= most


@given(views())
def test_what_lies_in_one_piece_is_known_to(view: tuple[list[int], list[int], int, int]) -> None:
    shape, stride, _, position = view
    in_order = DATA[position : position + len(strided(view))]
    if is_in_one_piece(shape, stride):
        assert strided(view) == in_order
    elif max(shape, default=0) > 1:
        array = np.ndarray(tuple(shape), np.uint8, DATA, 0, tuple(stride))
        assert not array.flags.c_contiguous


def test_dimensions_that_go_on_where_the_next_one_ends_are_one() -> None:
    assert axes_of((2, 3, 4), (12, 4, 1), 2) == [Axis(24, 2)]
    assert axes_of((2, 1, 3, 4), (24, 5, 8, 2), 1) == [Axis(24, 2)]
    assert axes_of((2, 3, 4), (12, 1, 3), 2) == [Axis(2, 24), Axis(3, 2), Axis(4, 6)]
    assert axes_of((1, 1), (7, 7), 2) == []


def test_a_transposed_matrix_is_read_in_runs_that_are_as_long_as_memory_allows() -> None:
    reads = Reads()
    with bounds(most=1000, gap=10):
        list(gathered(reads, 0, axes_of((100, 50), (1, 100), 4), 4))
    # 1000 bytes hold 5 of the 100 rows: from each of 50 columns, 20 bytes.
    assert {length for _, length in reads.spans} == {20}
    assert len(reads.spans) == 20 * 50
    assert sum(length for _, length in reads.spans) == 100 * 50 * 4


def test_runs_that_lie_close_together_are_read_at_once() -> None:
    reads = Reads()
    list(gathered(reads, 0, axes_of((100, 10), (20, 1), 1), 1))
    assert reads.spans == [(0, 99 * 20 + 10)]


def test_what_repeats_one_element_is_read_once_for_each_box() -> None:
    reads = Reads()
    with bounds(most=1 << 16, gap=0):
        total = sum(len(one) for one in gathered(reads, 40, [Axis(1 << 20, 0)], 4))
    assert total == 4 << 20
    assert reads.spans == [(40, 4)] * 64


def test_a_large_view_needs_little_memory() -> None:
    rows, columns = 6000, 8000  # 183 MiB

    def fill(position: int, buffer: memoryview) -> None:
        buffer[:4] = position.to_bytes(4, "little")

    tracemalloc.start()
    pieces = gathered(fill, 0, axes_of((rows, columns), (1, rows), 4), 4)
    first = [bytes(piece[:4]) for piece in pieces]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first) > 5
    assert int.from_bytes(first[1], "little") % 4 == 0
    assert peak < 64 << 20
