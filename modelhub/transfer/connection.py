"""One connection of a download: claims bytes, asks for them, writes them, hands them on."""

from __future__ import annotations

import threading
import time

from blake3 import blake3

from modelhub.errors import NotAModelFile
from modelhub.network import shown_url
from modelhub.transfer.answers import ChangedOnServer, RangesIgnored, TryAgain, looks_like_a_page
from modelhub.transfer.journal import DIGEST_BYTES, Extent
from modelhub.transfer.ledger import Claim
from modelhub.transfer.partial import Closed, Partial
from modelhub.transfer.patience import Patience
from modelhub.transfer.rate import PROCESS_BUCKET
from modelhub.transfer.session import Session, StartOver
from modelhub.transfer.storage import Opened

BATCH_BYTES = 512 << 10
BATCH_SECONDS = 0.1

LOST_AT_MOST = 8 << 20
"""Bytes that a kill may cost over all connections: written, and not in the journal yet."""

_LEAST_EXTENT, _MOST_EXTENT = 64 << 10, 1 << 20
_LEAST_SPAN, _MOST_SPAN = 4 << 20, 32 << 20
_SPAN_SECONDS = 1.5


class Recorder:
    """Puts what one connection wrote into the journal, in extents of moderate size."""

    def __init__(self, partial: Partial, connections: int) -> None:
        self._partial = partial
        self._most = max(_LEAST_EXTENT, min(_MOST_EXTENT, LOST_AT_MOST // connections))
        self._start = self._end = 0
        self._digest = blake3()

    def add(self, offset: int, data: bytes) -> None:
        """`data` was written at `offset`."""
        if offset != self._end or self._end - self._start + len(data) > 2 * _MOST_EXTENT:
            self.flush()
            self._start = self._end = offset
        self._digest.update(data)
        self._end += len(data)
        if self._end - self._start >= self._most:
            self.flush()

    def flush(self) -> None:
        """Record what was added since the last record."""
        if self._end > self._start:
            digest = self._digest.digest(DIGEST_BYTES)
            self._partial.record(Extent(self._start, self._end - self._start, digest))
        self._start = self._end
        self._digest.reset()


class Connection(threading.Thread):
    """Fetches claims until there are no more, or more connections than wanted.

    :param first: an answer that is being received already, for `claim`.
    """

    def __init__(
        self, session: Session, first: Opened | None = None, claim: Claim | None = None
    ) -> None:
        super().__init__(name="transfer-connection", daemon=True)
        self._session = session
        self._first = first
        self._first_claim = claim
        self._patience = Patience(session.settings, session.pulse)
        self._recorder = Recorder(session.partial, session.settings.connections)
        self._opened: Opened | None = None
        self._claim: Claim | None = None
        self._rate = 0.0
        self.leaving = False

    def run(self) -> None:
        """Fetch."""
        try:
            if self._first is not None and self._first_claim is not None:
                self._fetch(self._first_claim, self._first)
            while not self.leaving:
                claim = self._session.ledger.wait_claim(self._span, self._may_leave)
                if claim is None:
                    break
                self._fetch(claim, None)
        except Closed:
            pass
        except Exception as error:
            self._session.fail(error)

    def abort(self) -> None:
        """Wake this thread from a read that waits."""
        opened = self._opened
        if opened is not None:
            opened.abort()

    def abort_if_robbed(self) -> None:
        """Wake it if another connection took all that it still had to fetch."""
        claim = self._claim
        if claim is not None and claim.left <= 0 and time.monotonic() - claim.heard > 1.0:
            self.abort()

    def _may_leave(self) -> bool:
        session = self._session
        if session.stop.is_set():
            return True
        with session.lock:
            # One at a time, so that not all of them leave for the one that is too many.
            if session.live() > session.ramp.wanted:
                self.leaving = True
        return self.leaving

    def _span(self) -> int:
        ledger = self._session.ledger
        span = max(_LEAST_SPAN, min(_MOST_SPAN, int(self._rate * _SPAN_SECONDS)))
        if ledger.total is not None:
            fair = (ledger.total - ledger.present) // (2 * self._session.ramp.wanted)
            span = min(span, max(1 << 20, fair))
        return span

    def _fetch(self, claim: Claim, opened: Opened | None) -> None:
        wait = 0.0
        try:
            if opened is None:
                opened = self._open(claim)
            if opened.answer.start != claim.taken:
                raise RuntimeError("an answer for other bytes than were claimed")
            self._opened, self._claim = opened, claim
            self._receive(claim, opened)
        except TryAgain as error:
            wait = self._after(error, claim)
        except ChangedOnServer as error:
            raise StartOver(changed=True) from error
        except RangesIgnored as error:
            self._without_ranges(error)
        finally:
            self._opened = self._claim = None
            if opened is not None:
                opened.close()
            self._recorder.flush()
            self._session.ledger.release(claim)
        if wait:
            self._session.stop.wait(wait)

    def _open(self, claim: Claim) -> Opened:
        session = self._session
        opened = session.storage.get(claim.taken, claim.end, session.first.validator.if_range)
        try:
            session.check(opened.answer)
        except BaseException:
            opened.close()
            raise
        return opened

    def _without_ranges(self, error: RangesIgnored) -> None:
        if not self._session.others_thrive():
            raise StartOver(changed=False, ranges=False) from error
        self._session.ramp.refused(1)
        self.leaving = True

    def _after(self, error: TryAgain, claim: Claim) -> float:
        """The seconds to wait after `error`; or the end of this connection, or of all."""
        session = self._session
        if session.stop.is_set() or claim.left <= 0:
            return 0.0
        if not session.first.ranged:
            raise StartOver(changed=False, why=error) from error
        if error.status in (429, 503) and session.others_thrive():
            # The server wants fewer connections, not a pause.
            session.ramp.refused(session.live() - 1)
            self.leaving = True
            return 0.0
        wait = self._patience.failed(error)
        if wait >= 1.0:
            session.notices.note(f"{error.reason}; trying again in {wait:.0f} s", warning=True)
        return wait

    def _receive(self, claim: Claim, opened: Opened) -> None:
        session = self._session
        began, before = time.monotonic(), claim.taken
        batch: list[bytes] = []
        size = 0
        flushed = began
        try:
            for chunk in opened.chunks():
                PROCESS_BUCKET.take(len(chunk), session.stop)
                batch.append(chunk)
                size += len(chunk)
                now = time.monotonic()
                if size >= BATCH_BYTES or now - flushed >= BATCH_SECONDS:
                    data, batch, size, flushed = b"".join(batch), [], 0, now
                    if session.stop.is_set() or not self._store(claim, data, opened):
                        return
        finally:
            if batch and not session.stop.is_set():
                self._store(claim, b"".join(batch), opened)
            elapsed = max(0.01, time.monotonic() - began)
            self._rate = (claim.taken - before) / elapsed
        self._ended(claim, opened, before)

    def _ended(self, claim: Claim, opened: Opened, before: int) -> None:
        session, ledger = self._session, self._session.ledger
        if ledger.total is None:
            short = claim.taken < (session.published_size or 0)
            if short and claim.taken > session.ended_before:
                # A body without a length cannot be told from a broken one: see if it happens again.
                raise TryAgain(f"{shown_url(opened.url)} ended after {claim.taken} bytes")
            ledger.finish(claim.taken)
        elif claim.taken == before and claim.left > 0:
            raise TryAgain(f"{shown_url(opened.url)} sent no bytes")

    def _store(self, claim: Claim, data: bytes, opened: Opened) -> bool:
        """Write the next bytes of `claim`; whether more are wanted from this answer."""
        session = self._session
        if claim.taken == 0 and looks_like_a_page(data, session.name):
            raise NotAModelFile(
                f"{shown_url(opened.url)} sent a web page instead of {session.name}",
                hint="a login or maintenance page; run `modelhub login`, or try again later",
            )
        # Only an answer without an end goes on behind the claim that it was asked for.
        open_end = opened.answer.end is None or opened.answer.end > claim.end
        while data:
            offset = claim.taken
            granted = session.ledger.take(claim, len(data))
            if granted == 0 and not (open_end and session.ledger.extend(claim, self._span())):
                return False
            part, data = data[:granted], data[granted:]
            if part:
                session.partial.write(offset, part)
                session.follower.offer(offset, part)
                self._recorder.add(offset, part)
                if claim.left <= 0:
                    self._recorder.flush()
                session.ledger.wrote(claim, granted)
                session.pulse.beat()
        self._patience.worked()
        session.storage.worked(opened.generation)
        return claim.left > 0 or open_end
