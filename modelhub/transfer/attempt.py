"""One attempt at a download: opens the file on the server, prepares the disk, runs the threads."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.disk import disk_errors, require_space
from modelhub.errors import Cancelled
from modelhub.formats.hashes import ContentHashes
from modelhub.progress import Stage
from modelhub.transfer.answers import Answer, ChangedOnServer, TryAgain, Validator
from modelhub.transfer.connection import Connection
from modelhub.transfer.follower import Follower
from modelhub.transfer.journal import Head, State
from modelhub.transfer.ledger import Ledger
from modelhub.transfer.model import DownloadRequest, TransferSettings
from modelhub.transfer.notices import Notices
from modelhub.transfer.partial import Partial, PartialPaths, allocated
from modelhub.transfer.patience import Patience, Pulse
from modelhub.transfer.ramp import Ramp
from modelhub.transfer.rate import PROCESS_BUCKET
from modelhub.transfer.session import Session, StartOver
from modelhub.transfer.storage import Opened, Storage
from modelhub.transfer.syncer import Syncer
from modelhub.transfer.verify import check_announced_size, needed_kinds, published_hashes

if TYPE_CHECKING:
    import httpx

_TICK = 0.05
_STOP_SECONDS = 0.15
_LEAST_WINDOW, _MOST_WINDOW = 64 << 20, 1 << 30
_UNKNOWN_STEP = 64 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an attempt brought."""

    hashes: ContentHashes
    size: int
    fetched: int
    resumed: int


class Job:
    """What stays the same over all attempts at one download."""

    def __init__(
        self,
        request: DownloadRequest,
        settings: TransferSettings,
        client: httpx.Client,
        notices: Notices,
        cancel: threading.Event,
    ) -> None:
        self.request = request
        self.settings = settings
        self.notices = notices
        self.cancel = cancel
        self.name = request.partial_name
        self.paths = PartialPaths.of(request.folder, request.partial_name)
        self.storage = Storage(client, request.source, self.name, settings.timeout)
        self.pulse = Pulse()
        # Measured by how far it comes, not by whether anything comes: see `furthest`.
        self.patience = Patience(settings, Pulse())
        self.furthest = 0

    def cancelled(self) -> Cancelled:
        """The error for a user who stopped this download."""
        return Cancelled(f"stopped while downloading {self.name}")

    def check_cancel(self) -> None:
        """Stop here if the user asked for it.

        :raises Cancelled: so it is.
        """
        if self.cancel.is_set():
            raise self.cancelled()


def _window() -> int:
    """How many fetched bytes may wait to be hashed and still be expected in the page cache."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return _LEAST_WINDOW
    return max(_LEAST_WINDOW, min(_MOST_WINDOW, free // 8))


def _in_background(work: Callable[[threading.Event], Opened], job: Job) -> Opened:
    """Run `work` in a thread of its own, so that `cancel` need not wait for the network."""
    stop = threading.Event()
    ended = threading.Event()
    results: list[Opened] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            opened = work(stop)
            if stop.is_set():
                opened.close()
            else:
                results.append(opened)
        except Exception as error:
            failures.append(error)
        ended.set()

    threading.Thread(target=run, name="transfer-open", daemon=True).start()
    while not ended.wait(_TICK):
        job.notices.flush()
        if job.cancel.is_set():
            stop.set()
            raise job.cancelled()
    if failures:
        raise failures[0]
    return results[0]


def open_file(job: Job, start: int | None, validator: Validator) -> Opened:
    """The answered first request of an attempt, for the bytes from `start` to the end.

    :raises ChangedOnServer: an earlier run began with another file.
    """

    def work(stop: threading.Event) -> Opened:
        while True:
            try:
                return job.storage.get(start, None, validator.if_range if start else None)
            except TryAgain as error:
                wait = job.patience.failed(error)
                if wait >= 1.0:
                    text = f"{error.reason}; trying again in {wait:.0f} s"
                    job.notices.note(text, warning=True)
            if stop.wait(wait):
                raise job.cancelled()

    return _in_background(work, job)


def _goes_on(answer: Answer, state: State, job: Job) -> bool:
    """Whether `answer` continues the file that `state` is a part of."""
    then = Validator(state.head.etag, state.head.modified)
    if not answer.part or answer.total != state.head.size or answer.validator.contradicts(then):
        return False
    if answer.validator.confirms(then):
        return True
    # Nothing to tell versions apart by: the size, and a hash that will prove it in the end.
    return bool(state.head.hashes) and state.head.hashes == published_hashes(job.request.expected)


def run_attempt(job: Job, state: State | None, *, ranges: bool) -> Fetched:
    """Fetch what is missing, and hash all.

    :param state: what an earlier run left, to go on with.
    :param ranges: whether parts may be asked for.
    :raises StartOver: it must be begun anew, without `state`.
    """
    opened: Opened | None = None
    if state is None:
        opened = open_file(job, 0 if ranges else None, Validator())
    else:
        gap = Ledger(state.head.size, state.extents).claim(1)
        if gap is not None:
            opened = _reopen(job, state, gap.taken)
    attempt = _Attempt(job, state, opened)
    try:
        return attempt.run()
    finally:
        attempt.close()


def _reopen(job: Job, state: State, start: int) -> Opened:
    validator = Validator(state.head.etag, state.head.modified)
    try:
        opened = open_file(job, start, validator)
    except ChangedOnServer as error:
        raise StartOver(changed=True) from error
    if not _goes_on(opened.answer, state, job):
        opened.close()
        raise StartOver(changed=True)
    return opened


class _Attempt:
    """The running parts of one attempt, and the loop that watches over them."""

    def __init__(self, job: Job, state: State | None, opened: Opened | None) -> None:
        self._job = job
        self._opened = opened
        self._state = state
        self._stop = threading.Event()
        self._session: Session | None = None
        self._partial: Partial | None = None
        self._syncer: Syncer | None = None
        self._whole = False
        self._hashed_before: int | None = None

    def run(self) -> Fetched:
        """Fetch and hash."""
        answer = self._answer()
        partial = self._prepare(answer)
        session = self._start(answer, partial)
        self._watch(session)
        hashes, total = session.follower.hashes, session.ledger.total
        if hashes is None or total is None:
            raise RuntimeError("the hashing ended without a result")
        if answer.total is None:
            check_announced_size(self._job.request.expected, total, self._job.name)
            with disk_errors(self._job.paths.data):
                partial.set_size(total)
        ledger = session.ledger
        if session.follower.bad_extents:
            self._job.notices.note(
                f"{session.follower.bad_extents} parts of the earlier run were damaged on disk "
                "and fetched again",
                warning=True,
            )
        self._whole = True
        return Fetched(hashes, total, ledger.fetched, ledger.resumed)

    def _answer(self) -> Answer:
        if self._opened is not None:
            return self._opened.answer
        assert self._state is not None
        head = self._state.head
        validator = Validator(head.etag, head.modified)
        return Answer(0, head.size, head.size, part=True, ranged=True, validator=validator)

    def _prepare(self, answer: Answer) -> Partial:
        job, settings = self._job, self._job.settings
        expected = job.request.expected
        size = answer.total
        if size is not None:
            remark = check_announced_size(expected, size, job.name)
            if remark:
                job.notices.note(remark, warning=True)
        job.notices.enter(Stage.CHECK_SPACE, size)
        if self._state is None:
            with disk_errors(job.paths.data):
                job.paths.remove()
        needed = (size if size is not None else expected.size) or 0
        missing = max(0, needed - allocated(job.paths.data))
        require_space(job.request.folder, missing, settings.min_free)
        head = None
        if answer.ranged and size is not None:
            validator = answer.validator
            head = Head(
                size=size,
                etag=validator.etag,
                modified=validator.modified,
                hashes=published_hashes(expected),
            )
        with disk_errors(job.paths.data):
            if self._state is not None:
                partial = Partial.resume(job.paths, self._state)
            else:
                partial = Partial.create(job.paths, head)
            self._partial = partial
            if needed:
                partial.reserve(needed, space=settings.reserve_space, between=job.check_cancel)
        return partial

    def _start(self, answer: Answer, partial: Partial) -> Session:
        job, settings = self._job, self._job.settings
        extents = self._state.extents if self._state is not None else ()
        ledger = Ledger(answer.total, extents, window=_window())
        kinds = needed_kinds(job.request.expected, settings.extra_hashes)
        limit = settings.connections if answer.ranged else 1
        ended = threading.Event()
        session = Session(
            name=job.name,
            settings=settings,
            storage=job.storage,
            first=answer,
            ledger=ledger,
            partial=partial,
            follower=Follower(partial, ledger, kinds, self._stop, ended),
            ramp=Ramp(limit, now=time.monotonic(), rate_limit=settings.limit_rate),
            pulse=job.pulse,
            notices=job.notices,
            stop=self._stop,
            ended=ended,
            published_size=job.request.expected.size,
            ended_before=job.furthest,
        )
        self._session = session
        PROCESS_BUCKET.set_rate(settings.limit_rate)
        job.notices.enter(Stage.DOWNLOAD, answer.total)
        self._syncer = Syncer(partial, ledger, self._stop)
        if self._opened is not None:
            # Before the follower finds damage, which makes gaps ahead of the one being answered.
            claim = ledger.claim(_LEAST_WINDOW if answer.ranged else sys.maxsize)
            if claim is None:
                self._opened.close()
            else:
                session.connections.append(Connection(session, self._opened, claim))
        for thread in (session.follower, self._syncer, *session.connections):
            thread.start()
        return session

    def _watch(self, session: Session) -> None:
        """Look after the threads until the last byte is hashed or something failed."""
        job, ledger = self._job, session.ledger
        checked = 0
        while not session.ended.wait(_TICK):
            if job.cancel.is_set():
                raise job.cancelled()
            if self._syncer is not None and self._syncer.failure is not None:
                session.fail(self._syncer.failure)
            self._tell(session)
            if self._hashed_before is None:
                self._adjust(session)
            if ledger.total is None and ledger.fetched - checked >= _UNKNOWN_STEP:
                checked = ledger.fetched
                require_space(job.request.folder, 0, job.settings.min_free)
        self._raise_failure(session)
        self._tell(session)
        job.notices.advance(ledger.hashed, ledger.total, self._hashed_before or 0, now=True)

    def _tell(self, session: Session) -> None:
        """Tell how far it is; the stage of verification begins when every byte is there."""
        notices, ledger = self._job.notices, session.ledger
        if self._hashed_before is None:
            whole = ledger.all_present
            notices.advance(ledger.present, ledger.total, ledger.resumed, now=whole)
            if whole:
                self._hashed_before = ledger.hashed
                notices.enter(Stage.VERIFY, ledger.total)
        else:
            notices.advance(ledger.hashed, ledger.total, self._hashed_before)

    def _adjust(self, session: Session) -> None:
        """Bring the number of connections to what is wanted."""
        wanted = session.ramp.observe(time.monotonic(), session.ledger.fetched)
        session.connections[:] = [c for c in session.connections if c.is_alive()]
        for connection in session.connections:
            connection.abort_if_robbed()
        for _ in range(wanted - session.live()):
            connection = Connection(session)
            session.connections.append(connection)
            connection.start()

    def _raise_failure(self, session: Session) -> None:
        failure = session.failure or session.follower.failure
        if failure is None:
            return
        if isinstance(failure, OSError):
            with disk_errors(self._job.paths.data):
                raise failure
        raise failure

    def close(self) -> None:
        """Stop all threads; those that wait for the network are left to end by themselves."""
        self._stop.set()
        session = self._session
        if session is None:
            if self._opened is not None:
                self._opened.close()
        else:
            self._job.furthest = max(self._job.furthest, session.ledger.fetched)
            with session.ledger.changed:
                session.ledger.changed.notify_all()
            for connection in session.connections:
                connection.abort()
            deadline = time.monotonic() + _STOP_SECONDS
            for thread in (*session.connections, session.follower):
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._partial is not None:
            self._partial.close()
            if not self._whole and not self._worth_keeping():
                with disk_errors(self._job.paths.data):
                    self._job.paths.remove()

    def _worth_keeping(self) -> bool:
        """Whether a later run saves anything by what is there; its space may be large."""
        if self._session is None:
            return self._state is not None
        resumable = self._partial is not None and self._partial.resumable
        return resumable and self._session.ledger.present > 0
