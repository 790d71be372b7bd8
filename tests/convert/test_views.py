from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.values import Place, Values
from modelhub.convert.views import Concatenated, Counted, Reshaped, Rows, Transposed
from modelhub.errors import FormatError
from tests.convert.made import bytes_of


class InPieces(Values):
    """Values in memory, given out a few elements at a time."""

    def __init__(self, array: np.ndarray, dtype: str = "F32", elements: int = 5) -> None:
        self.array = array
        self.dtype = dtype
        self.shape = array.shape
        self._elements = elements

    def pieces(self) -> Iterator[bytes | memoryview]:
        data = self.array.tobytes()
        step = self._elements * self.array.itemsize
        for start in range(0, len(data), step):
            yield memoryview(data)[start : start + step]


class InFile(Values):
    """Values that lie in a file, and are never asked for in pieces."""

    def __init__(self, descriptor: int, position: int, shape: tuple[int, ...]) -> None:
        self.dtype = "F32"
        self.shape = shape
        self._place = Place(descriptor, position)

    def pieces(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("it is to be read from its place")

    @property
    def place(self) -> Place | None:
        return self._place


def _numbers(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype="<f4").reshape(shape)


@pytest.fixture
def numbers_on_disk(tmp_path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """A file of 12 rows of 4 numbers behind 16 bytes."""
    numbers = _numbers(12, 4)
    path = tmp_path / "numbers"
    path.write_bytes(b"\xff" * 16 + numbers.tobytes())
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor, numbers
    os.close(descriptor)


@given(
    rows=st.integers(0, 9),
    width=st.integers(0, 7),
    bounds=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    elements=st.integers(1, 12),
)
def test_rows_are_cut_out_of_pieces_of_any_size(
    rows: int, width: int, bounds: tuple[int, int], elements: int
) -> None:
    start, stop = sorted(min(bound, rows) for bound in bounds)
    numbers = _numbers(rows, width)
    view = Rows(InPieces(numbers, elements=elements), start, stop)
    assert view.shape == (stop - start, width)
    assert bytes_of(view) == numbers[start:stop].tobytes()


def test_rows_of_a_tensor_in_a_file_are_read_there_and_nowhere_else(
    numbers_on_disk: tuple[int, np.ndarray],
) -> None:
    descriptor, numbers = numbers_on_disk
    view = Rows(InFile(descriptor, 16, (12, 4)), 4, 8)
    assert view.place == Place(descriptor, 16 + 4 * 16)
    assert bytes_of(view) == numbers[4:8].tobytes()


def test_a_file_that_got_shorter_is_an_error_and_no_short_tensor(
    numbers_on_disk: tuple[int, np.ndarray],
) -> None:
    descriptor, _ = numbers_on_disk
    with pytest.raises(FormatError, match="ends within"):
        bytes_of(Rows(InFile(descriptor, 16, (24, 4)), 8, 24))


def test_tensors_that_follow_each_other_in_a_file_are_one_place_together(
    numbers_on_disk: tuple[int, np.ndarray],
) -> None:
    descriptor, _ = numbers_on_disk
    whole = InFile(descriptor, 16, (12, 4))
    thirds = [Rows(whole, start, start + 4) for start in (0, 4, 8)]
    assert Concatenated(thirds).place == whole.place
    assert Concatenated(thirds[::-1]).place is None
    assert bytes_of(Concatenated(thirds)) == bytes_of(Rows(whole, 0, 12))


def test_tensors_in_memory_are_put_below_each_other() -> None:
    first, second = _numbers(2, 3), _numbers(4, 3) + 100
    view = Concatenated([InPieces(first), InPieces(second)])
    assert view.shape == (6, 3)
    assert view.place is None
    assert bytes_of(view) == np.concatenate([first, second]).tobytes()


def test_another_shape_keeps_the_numbers_and_their_place(
    numbers_on_disk: tuple[int, np.ndarray],
) -> None:
    descriptor, _ = numbers_on_disk
    view = Reshaped(InFile(descriptor, 16, (12, 4)), (12, 4, 1, 1))
    assert view.shape == (12, 4, 1, 1)
    assert view.place == Place(descriptor, 16)
    assert bytes_of(Reshaped(InPieces(_numbers(2, 3)), (6,))) == _numbers(6).tobytes()


@given(rows=st.integers(0, 6), columns=st.integers(0, 6), elements=st.integers(1, 9))
def test_a_matrix_is_transposed_as_numpy_does_it(rows: int, columns: int, elements: int) -> None:
    numbers = _numbers(rows, columns)
    view = Transposed(InPieces(numbers, elements=elements))
    assert view.shape == (columns, rows)
    assert bytes_of(view) == numbers.T.tobytes()


def test_a_large_matrix_of_half_numbers_is_transposed_in_several_pieces() -> None:
    numbers = np.arange(1_200 * 1_000, dtype="<u2").reshape(1_200, 1_000)
    view = Transposed(InPieces(numbers, "F16", 100_000))
    assert len([len(piece) for piece in view.pieces()]) > 1
    assert bytes_of(view) == numbers.T.tobytes()


def test_a_matrix_whose_file_ends_early_is_not_transposed() -> None:
    short = InPieces(_numbers(2, 3))
    short.shape = (3, 3)
    with pytest.raises(FormatError, match="ends within"):
        bytes_of(Transposed(short))


def test_a_matrix_that_would_fill_the_memory_is_refused() -> None:
    huge = InPieces(_numbers(1))
    huge.shape = (1 << 20, 1 << 20)
    with pytest.raises(FormatError, match="too large to transpose"):
        Transposed(huge)


def test_counted_values_are_the_positions_of_a_text_encoder() -> None:
    view = Counted((1, 77))
    assert (view.dtype, view.nbytes) == ("I64", 77 * 8)
    assert bytes_of(view) == np.arange(77, dtype="<i8").tobytes()


def test_views_that_do_not_fit_are_refused() -> None:
    matrix = InPieces(_numbers(2, 3))
    with pytest.raises(ValueError, match="no rows"):
        Rows(matrix, 1, 3)
    with pytest.raises(ValueError, match="no rows"):
        Rows(InPieces(_numbers()), 0, 0)
    with pytest.raises(ValueError, match="below"):
        Concatenated([matrix, InPieces(_numbers(2, 4))])
    with pytest.raises(ValueError, match="below"):
        Concatenated([matrix, InPieces(_numbers(2, 3), "I32")])
    with pytest.raises(ValueError, match="as"):
        Reshaped(matrix, (7,))
    with pytest.raises(ValueError, match="transposed"):
        Transposed(InPieces(_numbers(6)))
