"""How often the engine looks into its queues: at once when there is something, hardly ever else.

DBOS looks into every queue at a fixed interval. At one that starts a job quickly it costs a sixth
of a core to find nothing, all day; at one that costs nothing, jobs start late. What changes the
queues of a library on one machine is known, however: so its threads wait for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

_LOOKS = (0.0, 0.1, 1.0)
"""Seconds between the looks after something happened: should it be seen a moment too soon."""
_WORKER = "queue-worker-"


class _Waiter:
    """One thread of the engine: what wakes it, and the looks that it has had since."""

    def __init__(self, lock: threading.Lock) -> None:
        # Of its own, so that waking one thread does not wake them all.
        self.woken = threading.Condition(lock)
        self.looks = 0


class Pace:
    """Lets threads of the engine wait until something happens, or for `longest` seconds.

    :param longest: where others change the queues as well (several hosts on one server), the
        longest that a job of theirs may wait.
    :param looks: seconds between the looks after something happened.
    """

    def __init__(self, longest: float, looks: Sequence[float] = _LOOKS) -> None:
        self._longest, self._looks = longest, looks
        self._lock = threading.Lock()
        self._waiters: dict[str, _Waiter] = {}
        self.stopped = False

    def wake(self, queue: str) -> None:
        """Something happened in a queue: have it looked into now."""
        with self._lock:
            waiter = self._waiters.get(_WORKER + queue)
            if waiter is not None:
                waiter.looks = 0
                waiter.woken.notify_all()

    def let_wait(self, longest: float) -> None:
        """From now on, let no thread wait for longer than so many seconds."""
        with self._lock:
            if self._longest != longest:
                self._longest = longest
                self._notify_all()

    def stop(self) -> None:
        """Let all threads go, for good."""
        with self._lock:
            self.stopped = True
            self._notify_all()

    def _notify_all(self) -> None:
        for waiter in self._waiters.values():
            waiter.woken.notify_all()

    def wait(self) -> None:
        """Wait for the turn of this thread."""
        name = threading.current_thread().name
        with self._lock:
            waiter = self._waiters.get(name)
            if waiter is None:
                waiter = self._waiters[name] = _Waiter(self._lock)
            began = time.monotonic()
            while not self.stopped:
                late = waiter.looks >= len(self._looks)
                until = began + (self._longest if late else self._looks[waiter.looks])
                left = until - time.monotonic()
                if left <= 0:
                    break
                waiter.woken.wait(left)
            waiter.looks = min(waiter.looks + 1, len(self._looks))


class Patience:
    """Stands in for the event by which the engine stops its threads, and lets them wait longer.

    :param stop: the event itself.
    """

    def __init__(self, stop: threading.Event, pace: Pace) -> None:
        self._stop, self._pace = stop, pace

    def is_set(self) -> bool:
        """Whether the thread is to end."""
        return self._stop.is_set() or self._pace.stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, whatever `timeout` says, as the pace says; whether the thread is to end."""
        del timeout
        self._pace.wait()
        return self.is_set()
