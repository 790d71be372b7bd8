"""How long to go on after failures: until so many in a row that nothing got through between."""

from __future__ import annotations

import random
import time

from modelhub.errors import NetworkError, RateLimited, ServerFault, Unreachable
from modelhub.transfer.answers import TryAgain
from modelhub.transfer.model import TransferSettings

_LONGEST_BACKOFF = 30.0


class Pulse:
    """When bytes last came in, over any connection of the download."""

    def __init__(self) -> None:
        self.last = 0.0

    def beat(self) -> None:
        """Bytes came in just now."""
        self.last = time.monotonic()


def _final(error: TryAgain) -> NetworkError:
    if error.status == 429:
        return RateLimited(error.reason)
    if error.status is not None and error.status >= 500:
        return ServerFault(error.reason)
    return Unreachable(error.reason)


class Patience:
    """Counts the failures in a row of one connection and says how long to wait after each."""

    def __init__(self, settings: TransferSettings, pulse: Pulse) -> None:
        self._settings = settings
        self._pulse = pulse
        self._failures = 0
        self._first = 0.0

    def worked(self) -> None:
        """Bytes came in on this connection."""
        self._failures = 0

    def failed(self, error: TryAgain) -> float:
        """The seconds to wait before the next try.

        :raises NetworkError: enough of it: too many failures while no connection got anything,
            or the server asks to wait for too long.
        """
        if self._failures == 0:
            self._first = time.monotonic()
        self._failures += 1
        if self._failures > self._settings.retries:
            if self._pulse.last < self._first:
                raise _final(error)
            self._failures = 1
            self._first = time.monotonic()
        if error.wait is not None:
            if error.wait > self._settings.max_wait:
                raise _final(error)
            return error.wait
        wait = min(_LONGEST_BACKOFF, self._settings.backoff * 2.0 ** (self._failures - 1))
        # Not all connections again at the same moment.
        return wait * random.uniform(0.75, 1.25)  # noqa: S311
