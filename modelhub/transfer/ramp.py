"""How many connections to use: as many as help, found out while the transfer runs.

Doubles their number for as long as that brings more, goes back one step when it did not, and
tries again later in case the network had only been slow to start. No clock of its own: told the
time and the bytes.
"""

from __future__ import annotations

MEASURE_SECONDS = 0.25
SETTLE_SECONDS = 0.05
RETRY_SECONDS = 5.0
WORTHWHILE = 1.1
"""A step must bring a tenth more to be kept."""


class Ramp:
    """The number of connections to use right now, `wanted`, up to `limit`.

    :param rate_limit: the bandwidth limit in bytes a second: near it, more cannot help.
    """

    def __init__(self, limit: int, *, now: float, rate_limit: int | None = None) -> None:
        self.limit = max(1, limit)
        self.wanted = 1
        self._rate_limit = rate_limit
        self._before: tuple[int, float] | None = None
        self._retry_after = RETRY_SECONDS
        self._next_step = now
        self._restart(now, 0)
        self._fresh = True

    def _restart(self, now: float, received: int) -> None:
        self._since = now
        self._received = received
        self._fresh = False

    def refused(self, active: int) -> None:
        """The server refused a connection while `active` others went on: stay at those."""
        self.limit = max(1, min(self.limit, active))
        self.wanted = min(self.wanted, self.limit)
        self._before = None

    def observe(self, now: float, received: int) -> int:
        """Take note that `received` bytes have come in all; how many connections to use."""
        if self._fresh or now - self._since < 0:
            self._restart(now, received)
        settle = SETTLE_SECONDS if self._before else 0.0
        if now - self._since < MEASURE_SECONDS + settle or now < self._next_step:
            return self.wanted
        rate = (received - self._received) / (now - self._since)
        if rate > 0:
            self._decide(now, rate)
        self._restart(now, received)
        return self.wanted

    def _decide(self, now: float, rate: float) -> None:
        if self._before is not None:
            count, old_rate = self._before
            self._before = None
            if rate < old_rate * WORTHWHILE:
                self.wanted = count
                self._next_step = now + self._retry_after
                self._retry_after *= 2
                return
        at_limit = self._rate_limit is not None and rate > 0.9 * self._rate_limit
        if self.wanted < self.limit and not at_limit:
            self._before = (self.wanted, rate)
            self.wanted = min(self.limit, self.wanted * 2)
