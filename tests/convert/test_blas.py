from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from modelhub.convert import blas
from modelhub.convert.blas import one_thread


@pytest.fixture
def threads() -> Iterator[blas._Threads]:
    found = blas._threads()
    if found is None:
        pytest.skip("numpy was built with another library than OpenBLAS")
    before = found.read()
    found.set(2)
    yield found
    found.set(before)


def test_products_take_one_thread_within_and_as_many_as_before_behind(
    threads: blas._Threads,
) -> None:
    with one_thread():
        assert threads.read() == 1
        with one_thread():
            assert threads.read() == 1
        assert threads.read() == 1
    assert threads.read() == 2


def test_an_error_within_changes_nothing_for_good(threads: blas._Threads) -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert threads.read() == 2


def test_the_last_of_several_threads_sets_it_back(threads: blas._Threads) -> None:
    both_within, first_is_out = Barrier(2, timeout=10), Event()

    def first() -> None:
        with one_thread():
            both_within.wait()
        first_is_out.set()

    def second() -> int:
        with one_thread():
            both_within.wait()
            assert first_is_out.wait(10)
            return threads.read()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert pool.submit(second).result() == 1
    assert threads.read() == 2


def test_numpy_of_another_build_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_threads", lambda: None)
    with one_thread():
        pass
    assert not blas._USERS.count
