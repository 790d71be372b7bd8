"""`download`: from a link to a verified file under its partial name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from modelhub.config import Config
from modelhub.disk import disk_errors
from modelhub.errors import Cancelled, FileChanged, HashMismatch, SizeMismatch
from modelhub.network import http_client
from modelhub.progress import Listener
from modelhub.transfer.answers import ChangedOnServer, TryAgain
from modelhub.transfer.attempt import Fetched, Job, run_attempt
from modelhub.transfer.journal import State
from modelhub.transfer.locks import hold, let_go, rest
from modelhub.transfer.model import (
    AlreadyThere,
    Downloaded,
    DownloadRequest,
    TransferSettings,
)
from modelhub.transfer.notices import Notices
from modelhub.transfer.partial import PartialPaths, find_state
from modelhub.transfer.session import StartOver
from modelhub.transfer.verify import published_hashes, verify

_MOST_CHANGES = 2


def download(
    request: DownloadRequest,
    settings: TransferSettings,
    config: Config,
    listener: Listener,
    cancel: threading.Event,
    *,
    recheck: Callable[[], Path | None] | None = None,
) -> Downloaded | AlreadyThere:
    """Fetch a file, going on where an earlier call was stopped, and verify it.

    The result lies under its partial name and is locked by this process: call
    :func:`~modelhub.transfer.commit`, :func:`~modelhub.transfer.discard` or
    :func:`~modelhub.transfer.release` next. After an error that leaves it usable, what was
    fetched stays for the next call; content that is proven wrong is removed.

    :param config: for the network: proxy and certificates.
    :param recheck: called once nobody else can be fetching it: the finished file, if another
        process has put it in place meanwhile. That may be so without a wait: it may have ended
        between the caller's look and ours.
    :raises VerificationError: it is not what was published.
    :raises NetworkError: it could not be fetched.
    :raises AccessError: the link source or the storage refuses.
    :raises DiskError: it could not be stored.
    :raises Cancelled: `cancel` was set; noticed within 0.2 s.
    """
    began = time.monotonic()
    with disk_errors(request.folder):
        request.folder.mkdir(parents=True, exist_ok=True)
    paths = PartialPaths.of(request.folder, request.partial_name)
    hold(paths, request.task, listener, cancel)
    kept = False
    try:
        there = recheck() if recheck is not None else None
        if there is not None:
            return AlreadyThere(there)
        done = _download(request, settings, config, Notices(request.task, listener), cancel, began)
        rest(paths)
        kept = True
        return done
    finally:
        if not kept:
            let_go(paths)


def _download(
    request: DownloadRequest,
    settings: TransferSettings,
    config: Config,
    notices: Notices,
    cancel: threading.Event,
    began: float,
) -> Downloaded:
    client = http_client(config, timeout=settings.timeout, connections=settings.connections + 2)
    try:
        job = Job(request, settings, client, notices, cancel)
        fetched = _until_whole(job)
        try:
            verdict = verify(fetched.hashes, request.expected, job.name)
        except (HashMismatch, SizeMismatch):
            with disk_errors(job.paths.data):
                job.paths.remove()
            raise
        for remark in verdict.remarks:
            notices.note(remark, warning=True)
    finally:
        notices.flush()
        client.close()
    return Downloaded(
        partial=job.paths.data,
        size=fetched.size,
        hashes=fetched.hashes,
        verified_by=verdict.verified_by,
        fetched_bytes=fetched.fetched,
        resumed_bytes=fetched.resumed,
        seconds=time.monotonic() - began,
    )


def _usable_state(job: Job) -> State | None:
    with disk_errors(job.paths.data):
        state = find_state(job.paths)
    if state is None:
        return None
    published = published_hashes(job.request.expected)
    for kind, value in state.head.hashes.items():
        if published.get(kind, value) != value:
            job.notices.note("another file was begun under this name: starting over")
            return None
    return state


def _until_whole(job: Job) -> Fetched:
    """Attempts until one brings the whole file."""
    state = _usable_state(job)
    ranges = True
    changes = 0
    while True:
        before = job.furthest
        try:
            return run_attempt(job, state, ranges=ranges)
        except (StartOver, ChangedOnServer) as again:
            over = again if isinstance(again, StartOver) else StartOver(changed=True)
        state = None
        ranges = ranges and over.ranges
        if over.changed:
            changes += 1
            job.notices.note(f"{job.name} changed on the server: starting over", warning=True)
        if not over.ranges:
            job.notices.note("the server only sends whole files: starting over", warning=True)
        if changes > _MOST_CHANGES:
            raise FileChanged(
                f"{job.name} kept changing on the server while it was downloaded",
                hint="try again later",
            )
        if isinstance(over.why, TryAgain):
            if job.furthest > before:
                job.patience.worked()
            job.notices.note(f"{over.why.reason}; starting over", warning=True)
            if job.cancel.wait(job.patience.failed(over.why)):
                raise Cancelled(f"stopped while downloading {job.name}")
