"""The bandwidth limit."""

from __future__ import annotations

import threading
import time

from modelhub.transfer.rate import Bucket
from tests.patience import SOON


def test_several_threads_share_one_limit() -> None:
    bucket = Bucket(10_000_000)
    stop = threading.Event()

    def take() -> None:
        for _ in range(40):
            bucket.take(64 << 10, stop)

    threads = [threading.Thread(target=take) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    ideal = 4 * 40 * (64 << 10) / 10_000_000 - 0.2
    assert ideal * 0.95 < seconds < SOON


def test_without_a_limit_nobody_waits() -> None:
    began = time.monotonic()
    Bucket(None).take(1 << 40, threading.Event())
    assert time.monotonic() - began < SOON


def test_a_stop_ends_the_wait() -> None:
    bucket = Bucket(10)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    bucket.take(1 << 20, stop)
    assert time.monotonic() - began < SOON
