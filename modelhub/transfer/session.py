"""What the threads of one attempt at a download share."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelhub.transfer.answers import Answer, ChangedOnServer, RangesIgnored
from modelhub.transfer.ledger import Ledger
from modelhub.transfer.model import TransferSettings
from modelhub.transfer.notices import Notices
from modelhub.transfer.partial import Partial
from modelhub.transfer.patience import Pulse
from modelhub.transfer.ramp import Ramp
from modelhub.transfer.storage import Storage

if TYPE_CHECKING:
    from modelhub.transfer.connection import Connection
    from modelhub.transfer.follower import Follower


class StartOver(Exception):
    """What was fetched so far is of no use.

    :param changed: because the file is another one now; else because it cannot be gone on with.
    :param ranges: whether parts of the file may be asked for next time.
    """

    def __init__(self, *, changed: bool, ranges: bool = True, why: Exception | None = None) -> None:
        super().__init__(why)
        self.changed = changed
        self.ranges = ranges
        self.why = why


@dataclass(eq=False)
class Session:
    """One attempt: from an answered first request to the last byte, or to a failure."""

    name: str
    settings: TransferSettings
    storage: Storage
    first: Answer
    ledger: Ledger
    partial: Partial
    follower: Follower
    ramp: Ramp
    pulse: Pulse
    notices: Notices
    stop: threading.Event
    ended: threading.Event
    published_size: int | None = None
    ended_before: int = 0
    """How far an earlier attempt came, in bytes."""
    failure: Exception | None = None
    connections: list[Connection] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, error: Exception) -> None:
        """End the attempt with `error`, unless it failed before."""
        with self.lock:
            if self.failure is None:
                self.failure = error
        self.ended.set()

    def live(self) -> int:
        """How many connections there are that mean to stay."""
        return sum(c.is_alive() and not c.leaving for c in self.connections)

    def others_thrive(self) -> bool:
        """Whether bytes come in over more connections than one."""
        return self.live() > 1 and time.monotonic() - self.pulse.last < 2.0

    def check(self, answer: Answer) -> None:
        """Check that `answer` speaks of the same file as the first one did, and of a part of it.

        :raises ChangedOnServer: of another file.
        :raises RangesIgnored: of all of it.
        """
        first = self.first
        other_size = answer.total is not None and answer.total != first.total
        if other_size or answer.validator.contradicts(first.validator):
            raise ChangedOnServer
        if not answer.part:
            raise RangesIgnored
