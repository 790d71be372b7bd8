from __future__ import annotations

import threading

from modelhub.daemon.pace import Pace, Patience

from .conftest import wait_for


class Looker(threading.Thread):
    """A thread of the engine: it looks into a queue whenever it is let."""

    def __init__(self, queue: str, pace: Pace) -> None:
        super().__init__(name=f"queue-worker-{queue}", daemon=True)
        self.stop = threading.Event()
        self.looks = 0
        self._patience = Patience(self.stop, pace)

    def run(self) -> None:
        while not self._patience.wait(0.001):
            self.looks += 1


def test_a_queue_is_looked_into_a_few_times_and_then_when_something_happens() -> None:
    pace = Pace(longest=3600, looks=(0.0, 0.01, 0.01))
    one, other = Looker("one", pace), Looker("other", pace)
    one.start()
    other.start()
    wait_for(lambda: one.looks == 3 and other.looks == 3, "both have had their looks")

    pace.wake("one")

    wait_for(lambda: one.looks == 6, "the queue is looked into again")
    assert other.looks == 3
    pace.stop()
    one.join(10)
    other.join(10)
    assert not one.is_alive()
    assert not other.is_alive()


def test_where_others_fill_the_queue_it_is_looked_into_all_the_time() -> None:
    pace = Pace(longest=0.001, looks=())
    looker = Looker("shared", pace)
    looker.start()
    wait_for(lambda: looker.looks > 50, "it is looked into again and again")
    pace.stop()
    looker.join(10)
    assert not looker.is_alive()


def test_where_there_is_work_no_thread_waits_for_long() -> None:
    pace = Pace(longest=3600, looks=())
    looker = Looker("busy", pace)
    looker.start()

    pace.let_wait(0.001)

    wait_for(lambda: looker.looks > 50, "it is looked into again and again")
    pace.stop()
    looker.join(10)
    assert not looker.is_alive()


def test_the_engine_has_the_places_that_our_pace_is_put_in() -> None:
    """A later DBOS without them runs at its own pace: this says so before a user sees it."""
    import dbos._dbos
    from dbos import _workflow_commands

    assert callable(vars(dbos._dbos)["queue_thread"])
    assert callable(vars(dbos._dbos)["dynamic_scheduler_loop"])
    from dbos._core import ActiveWorkflowById
    from dbos._sys_db import SystemDatabase

    assert _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC > 0
    assert {"add", "_remove"} <= vars(ActiveWorkflowById).keys()
    assert {"_is_latest_version", "get_queue"} <= vars(SystemDatabase).keys()
