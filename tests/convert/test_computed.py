from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import numpy as np
import pytest

from modelhub.convert.computed import Computed, Recent, constant, numbers_of
from modelhub.errors import FormatError

from .made import Made


def test_computed_values_come_in_whole_pieces_and_the_same_each_time() -> None:
    values = Computed((3, 700_000), lambda: np.arange(2_100_000, dtype=np.float32))
    once = [bytes(piece) for piece in values.pieces()]
    assert len(once) > 1
    assert all(len(piece) % 4 == 0 for piece in once)
    assert b"".join(once) == np.arange(2_100_000, dtype="<f4").tobytes()
    assert once == [bytes(piece) for piece in values.pieces()]
    assert values.nbytes == sum(map(len, once))


@pytest.mark.parametrize("shape", [(0,), (4, 0)])
def test_no_numbers_are_no_pieces(shape: tuple[int, ...]) -> None:
    assert list(Computed(shape, lambda: np.empty(0, np.float32)).pieces()) == []


def test_a_function_that_makes_too_few_is_found_out() -> None:
    with pytest.raises(FormatError, match="3 numbers"):
        list(Computed((2, 2), lambda: np.ones(3, np.float32)).pieces())


def test_a_constant_stands_alone() -> None:
    assert b"".join(constant(0.5).pieces()) == np.float32(0.5).tobytes()
    assert constant(2, (1,)).shape == (1,)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16", "I64"])
def test_numbers_of_every_plain_type_are_read(dtype: str) -> None:
    numbers = numbers_of(Made("w", dtype, (2, 2), None if dtype == "I64" else (0, 1, 2, 3)))
    np.testing.assert_array_equal(numbers, [[0, 1], [2, 3]])
    assert numbers.dtype == np.float32


def test_what_is_no_real_number_is_not_computed_with() -> None:
    with pytest.raises(FormatError, match="C64"):
        numbers_of(Made("w", "C64", (1,)))


def test_computed_numbers_may_be_changed_without_a_trace() -> None:
    kept = np.ones(4, np.float32)
    values = Computed((4,), lambda: kept)
    numbers_of(values)[:] = 7
    assert kept.sum() == 4


def test_neighbours_share_what_was_made_and_it_is_forgotten_after_some_others() -> None:
    made: list[int] = []
    recent: Recent[int] = Recent()

    def make(number: int) -> int:
        made.append(number)
        return number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: recent.get("a", lambda: make(0)), range(64)))
    assert made == [0]
    for number in range(1, 10):
        recent.get(number, partial(make, number))
    recent.get("a", lambda: make(0))
    assert made == [*range(10), 0]


def test_different_things_are_made_side_by_side() -> None:
    recent: Recent[int] = Recent()
    both = Barrier(2, timeout=10)

    def make(number: int) -> int:
        both.wait()
        return number

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(recent.get, number, partial(make, number)) for number in (1, 2)]
        assert [one.result() for one in found] == [1, 2]


def test_what_could_not_be_made_is_tried_again() -> None:
    recent: Recent[int] = Recent()
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert recent.get("a", lambda: 7) == 7
