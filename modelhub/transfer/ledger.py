"""Which bytes are here, which are being fetched, and which to fetch next.

All threads of a download share one ledger. Bytes are handed out as claims: runs in the order of
the file, so that hashing can follow. A claim of a slow connection may lose its end to an idle one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelhub.transfer.journal import Extent
from modelhub.transfer.ranges import RangeSet

STALE_AFTER = 3.0
"""Seconds without a byte after which an idle connection takes over what another claimed."""

MIN_SHARE = 512 << 10
"""Bytes below which a claim is not worth being shared."""


@dataclass(eq=False, slots=True)
class Claim:
    """A run of bytes that one connection fetches.

    Up to `written` they are in the file, up to `taken` they came, up to `end` they may come.
    """

    taken: int
    end: int
    written: int = field(init=False)
    heard: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.written = self.taken

    @property
    def left(self) -> int:
        """How many bytes of it are still to come."""
        return self.end - self.taken


class Ledger:
    """The shared account of a file's bytes.

    :param total: the size of the file; None while only its end will tell.
    :param stored: what an earlier run wrote; not trusted before it was checked.
    :param window: how many fetched bytes may be waiting to be hashed.
    """

    def __init__(
        self, total: int | None, stored: Iterable[Extent] = (), *, window: int = 256 << 20
    ) -> None:
        self.changed = threading.Condition()
        self.total = total
        self.fetched = 0
        self.hashed = 0
        self._stored = {extent.offset: extent for extent in stored}
        self._stored_ranges = RangeSet((e.offset, e.end) for e in self._stored.values())
        self._done = RangeSet()
        self._claims: list[Claim] = []
        self._unhashed = 0
        self._window = window
        self.resumed = self._stored_ranges.size

    @property
    def present(self) -> int:
        """How many bytes are on the disk."""
        return self.resumed + self.fetched

    @property
    def active(self) -> int:
        """How many claims are being fetched."""
        with self.changed:
            return len(self._claims)

    def _end(self) -> int:
        return sys.maxsize if self.total is None else self.total

    def _gap(self) -> tuple[int, int] | None:
        busy = self._done.copy()
        for start, end in self._stored_ranges:
            busy.add(start, end)
        for claim in self._claims:
            busy.add(claim.written, claim.end)
        return busy.first_gap(0, self._end())

    def _room(self, start: int) -> bool:
        # What the hasher waits for is always fetched, however much lies ahead of it.
        return start <= self.hashed or self._unhashed < self._window

    def claim(self, span: int) -> Claim | None:
        """The next run of at most `span` bytes to fetch, or None when there is none for now."""
        with self.changed:
            gap = self._gap()
            if gap is None:
                return self._share()
            start, end = gap
            if not self._room(start):
                return None
            claim = Claim(start, min(end, start + span))
            self._claims.append(claim)
            return claim

    def _share(self) -> Claim | None:
        if self.total is None or not self._claims:
            return None
        now = time.monotonic()
        largest = max(self._claims, key=lambda claim: (now - claim.heard > STALE_AFTER, claim.left))
        if now - largest.heard > STALE_AFTER and largest.left:
            cut = largest.taken
        elif largest.left >= 2 * MIN_SHARE:
            cut = largest.taken + largest.left // 2
        else:
            return None
        claim = Claim(cut, largest.end)
        largest.end = cut
        self._claims.append(claim)
        return claim

    def wait_claim(self, span: Callable[[], int], leave: Callable[[], bool]) -> Claim | None:
        """The next claim, waited for; None when all is fetched and hashed, or `leave` says so."""
        with self.changed:
            while not leave() and not self.complete:
                claim = self.claim(span())
                if claim is not None:
                    return claim
                self.changed.wait(0.1)
        return None

    def extend(self, claim: Claim, span: int) -> bool:
        """Let `claim` go on with the bytes behind it, if nobody has them yet."""
        with self.changed:
            gap = self._gap()
            if gap is None or gap[0] != claim.end or not self._room(gap[0]):
                return False
            claim.end = min(gap[1], gap[0] + span)
            return True

    def take(self, claim: Claim, count: int) -> int:
        """How many of the next `count` bytes the owner of `claim` is to write."""
        with self.changed:
            granted = max(0, min(count, claim.left))
            claim.taken += granted
            claim.heard = time.monotonic()
            return granted

    def wrote(self, claim: Claim, count: int) -> None:
        """The next `count` bytes that were taken for `claim` are in the file now."""
        with self.changed:
            self._done.add(claim.written, claim.written + count)
            claim.written += count
            self.fetched += count
            self._unhashed += count
            self.changed.notify_all()

    def release(self, claim: Claim) -> None:
        """Give `claim` up; what it still had to fetch is free for others."""
        with self.changed:
            if claim in self._claims:
                self._claims.remove(claim)
            self.changed.notify_all()

    def finish(self, total: int) -> None:
        """The end of a file of unknown size was reached."""
        with self.changed:
            self.total = total
            self.changed.notify_all()

    def next_to_hash(self, offset: int) -> Extent | int | None:
        """What can be hashed from `offset` on.

        An extent is to be checked first; a number is the end of a run that can be read; `offset`
        itself means that nothing is there yet, and None that the file ends there.
        """
        with self.changed:
            if self.total is not None and offset == self.total:
                # The last bytes are handed over for hashing before they are accounted for.
                return None if self.all_present else offset
            extent = self._stored.get(offset)
            return extent if extent is not None else self._done.run_end(offset)

    def checked(self, extent: Extent, *, good: bool) -> None:
        """The stored `extent` was read again; bad ones are fetched anew."""
        with self.changed:
            del self._stored[extent.offset]
            self._stored_ranges.remove(extent.offset, extent.end)
            if good:
                self._done.add(extent.offset, extent.end)
            else:
                self.resumed -= extent.length
            self.changed.notify_all()

    def advance(self, offset: int, *, fetched: int) -> None:
        """All bytes before `offset` are hashed; `fetched` more of them came in this run."""
        with self.changed:
            self.hashed = offset
            self._unhashed -= fetched
            self.changed.notify_all()

    @property
    def complete(self) -> bool:
        """Whether every byte is here and hashed."""
        return self.total is not None and self.hashed >= self.total

    @property
    def all_present(self) -> bool:
        """Whether every byte is here."""
        return self.total is not None and self.present >= self.total
