"""Several workers, one a device, and what each is given."""

from __future__ import annotations

import contextlib
import threading

import msgspec
import pytest

from modelhub.errors import Cancelled, UsageError
from modelhub.render.answers import Devices, Rendered
from modelhub.render.client import Listen, RenderWorker
from modelhub.render.pool import RenderPool
from modelhub.render.request import DeviceWish, Recipe, Request
from tests.render.worker.conftest import Bench
from tests.render.worker.waiting import until


def test_a_pool_has_a_worker_for_each_gpu_and_one_where_there_is_none(bench: Bench) -> None:
    best = bench.worker.devices().names[0].partition(":")[0]
    same = [one for one in bench.worker.devices().names if one.partition(":")[0] == best]
    pool = RenderPool.of_all_gpus(lambda: bench.worker)
    pool.start()
    until(lambda: not any(one.name == "gpus" for one in threading.enumerate()))
    assert len(pool) == len(same)


class TwoCards(RenderWorker):
    """Says of a worker that it has two cards, of which this machine may have none; each waits with
    its picture until the other has one to make, too."""

    def __init__(self, worker: RenderWorker) -> None:
        super().__init__()
        self._worker, self._both = worker, threading.Barrier(2, timeout=60)

    def start(self) -> None:
        self._worker.start()

    def render(self, request: Request, listen: Listen, cancel: threading.Event) -> Rendered:
        self._both.wait()
        return self._worker.render(request, listen, cancel)

    def devices(self) -> Devices:
        return Devices(id="devices", names=("xpu:7", "xpu:8", "cpu"), words=("", "", ""))


def test_of_two_gpus_each_makes_its_own_pictures(checkpoint: str, bench: Bench) -> None:
    worker = TwoCards(bench.worker)
    with RenderPool.of_all_gpus(lambda: worker) as pool:
        pool.start()
        until(lambda: len(pool) == 2)
        requests = [bench.request(Recipe(model=checkpoint)) for _ in range(2)]
        unnamed = [msgspec.structs.replace(one, wish=DeviceWish()) for one in requests]
        said = [
            str(outcome)
            for _, outcome in pool.render_all(unnamed, lambda progress: None, threading.Event())
        ]
    assert sorted(said) == [f"there is no device 'xpu:{number}' here" for number in (7, 8)]


def test_a_pool_makes_all_images_and_one_that_fails_stops_no_other(
    bench: Bench, checkpoint: str
) -> None:
    good = [bench.request(Recipe(model=checkpoint), seed=seed) for seed in range(3)]
    bad = bench.request(Recipe(model=checkpoint), steps=0)
    with_bad = [good[0], bad, *good[1:]]
    pool = RenderPool(["cpu", None], make=lambda: bench.worker)
    made = {
        request.id: outcome
        for request, outcome in pool.render_all(with_bad, lambda progress: None, threading.Event())
    }
    assert made.keys() == {one.id for one in with_bad}
    assert isinstance(made.pop(bad.id), UsageError)
    assert all(isinstance(one, Rendered) for one in made.values())


def test_cancelling_a_pool_ends_what_is_left(bench: Bench, checkpoint: str) -> None:
    cancel = threading.Event()
    requests = [bench.request(Recipe(model=checkpoint), seed=seed) for seed in range(4)]
    pool = RenderPool(make=lambda: bench.worker)
    outcomes = []
    for _, outcome in pool.render_all(requests, lambda progress: None, cancel):
        outcomes.append(outcome)
        cancel.set()
    assert isinstance(outcomes[0], Rendered)
    assert [type(one) for one in outcomes[1:]] == [Cancelled] * 3


def test_who_waits_for_a_worker_can_be_cancelled(bench: Bench, checkpoint: str) -> None:
    begun, ended = threading.Event(), threading.Event()
    request = bench.request(Recipe(model=checkpoint), steps=500)

    def busy() -> None:
        with contextlib.suppress(Cancelled):
            bench.worker.render(request, lambda progress: begun.set(), ended)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert begun.wait(60)
        cancel = threading.Event()
        threading.Timer(0.1, cancel.set).start()
        with pytest.raises(Cancelled):
            bench.worker.render(
                bench.request(Recipe(model=checkpoint)), lambda progress: None, cancel
            )
        assert thread.is_alive()
    finally:
        ended.set()
        thread.join()
