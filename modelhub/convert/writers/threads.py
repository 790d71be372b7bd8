"""Work for several threads, of which each takes the next job when it is through with one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

THREADS = min(4, os.cpu_count() or 1)
"""Reading, casting and writing let other threads run; more than four wait for memory."""


def work_off(
    jobs: Iterable[Callable[[], object]], pool: ThreadPoolExecutor, threads: int = THREADS
) -> None:
    """Do all jobs, begun in their order. The first error ends the rest, and is raised.

    :param jobs: made as they are needed.
    """
    left = iter(jobs)
    taking = Lock()
    stop = Event()

    def work() -> None:
        try:
            while not stop.is_set():
                with taking:
                    job = next(left, None)
                if job is None:
                    return
                job()
        except BaseException:
            stop.set()
            raise

    others = [pool.submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        failures = [error for other in others if (error := other.exception()) is not None]
    if failures:
        raise failures[0]
