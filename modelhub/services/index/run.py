"""One index run: compare every place, read what differs, then hash what waits."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled
from modelhub.progress import (
    Listener,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
    silent,
)
from modelhub.services.index.places import Place, chosen
from modelhub.services.index.pool import HeaderReaders
from modelhub.services.index.report import Happening, IndexReport, RootReport, Unsafe
from modelhub.services.index.scan import RootScan
from modelhub.services.index.session import Session

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config

_TASK = "index"
_SHOWN_EVERY = 0.25
_COLLECTED_AFTER = 100_000
"""Objects made between two searches for cycles among them."""


def index(
    targets: Sequence[Path] = (),
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
    hash: bool = True,
    wait: float | None = None,
    tell: Callable[[Happening], None] | None = None,
    interlude: Callable[[], None] | None = None,
) -> IndexReport:
    """Bring the catalog in step with the disk.

    What cannot be read is in the report, and ends nothing. A run that was stopped or killed goes on
    where it was when it is called again.

    :param targets: roots, or what is in them; a folder outside every root becomes one. Empty: all
        roots, and the library's root where there is no root yet.
    :param hash: hash what waits for it, too; else only headers are read.
    :param wait: seconds to wait for files still being written, at most; None: ``index.wait``.
    :param tell: told of each thing that happens to a file; `interlude` is called between batches.
    :raises RootMissing, UsageError: a target is not there, or a file outside every root.
    :raises Cancelled, CatalogError: `cancel` was set; the catalog cannot be written to.
    """
    began = time.monotonic()
    cancel, places = cancel or threading.Event(), chosen(catalog, config, targets)
    session, reports = compare_places(
        places,
        config=config,
        catalog=catalog,
        listener=listener,
        cancel=cancel,
        wait=config.index.wait if wait is None else wait,
        tell=tell,
        interlude=interlude,
    )
    hashed, linked, words = 0, 0, 0
    if hash:
        from modelhub.services.index.hashing import hash_waiting

        hashed, linked, words = hash_waiting(
            catalog,
            listener=listener,
            cancel=cancel,
            tell=tell,
            interlude=interlude,
            root_ids={place.row.id for place in places} if targets else None,
        )
        if hashed:
            from modelhub.services.vaes import read_vaes

            # Their pages were just read for the hashes: this costs little now.
            read_vaes(catalog, listener=listener, cancel=cancel)
    report = _report(session, reports, time.monotonic() - began)
    return replace(report, hashed=hashed, linked=linked, words=words)


def compare_places(
    places: Sequence[Place],
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener,
    cancel: threading.Event,
    wait: float,
    tell: Callable[[Happening], None] | None,
    interlude: Callable[[], None] | None,
) -> tuple[Session, list[RootReport]]:
    """The comparison alone, of places that have been chosen; raises as :func:`index` does."""
    show = _Progress(listener, places)
    with _seldom_collected(), HeaderReaders(config.index.processes) as readers:
        session = Session(
            catalog,
            config,
            readers,
            cancel,
            tell=tell,
            warn=show.warn,
            progress=show.progress,
            interlude=interlude,
        )
        return session, _compared(session, places, show, wait)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """What is read meanwhile is plain tuples by the million and no cycles: search for them less."""
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECTED_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _compared(
    session: Session, places: Sequence[Place], show: _Progress, wait: float
) -> list[RootReport]:
    try:
        reports = []
        for place in places:
            show.enter(place)
            reports.append(RootScan(session, place).run())
        session.read_wholes()
        session.settle_gone()
        session.await_rest(wait)
        session.drain()
    except Cancelled as error:
        show.end(Outcome.CANCELLED, error.message)
        raise
    except BaseException:
        show.end(Outcome.FAILED, "")
        raise
    show.end(Outcome.DONE, _summary(session))
    return reports


def _report(session: Session, reports: Sequence[RootReport], seconds: float) -> IndexReport:
    still = [session.absolute(one.root_id, one.seen.path) for one in session.restless]
    return IndexReport(
        roots=tuple(reports),
        **asdict(session.tally),
        unhashed=session.catalog.count_waiting(),
        suspicious=session.recorder.verdicts["suspicious"],
        dangerous=session.recorder.verdicts["dangerous"],
        unsafe=tuple(
            Unsafe(path, verdict)
            for verdict, paths in session.recorder.unsafe.items()
            for path in paths
        ),
        faults=tuple(session.recorder.faults),
        unreadable=tuple(session.unreadable),
        still_written=tuple(still),
        seconds=seconds,
    )


def _summary(session: Session) -> str:
    tally = asdict(session.tally)
    parts = [f"{number:,} {name}" for name, number in tally.items() if number]
    return ", ".join(parts) or "nothing there"


class _Progress:
    """The progress events of the comparison: one task, renamed as it goes."""

    def __init__(self, listener: Listener, places: Sequence[Place]) -> None:
        self._listener = listener
        self._name = "index"
        self._shown = time.monotonic()
        listener(TaskStarted(_TASK, self._name))

    def enter(self, place: Place) -> None:
        self._name = f"index {place.root}"
        self._listener(TaskRenamed(_TASK, self._name))
        self._listener(StageEntered(_TASK, Stage.WALK))
        if place.added:
            self._listener(Notice(_TASK, f"{place.root} is a root from now on"))

    def progress(self, text: str) -> None:
        now = time.monotonic()
        if now - self._shown >= _SHOWN_EVERY:
            self._shown = now
            self._listener(TaskRenamed(_TASK, f"{self._name}: {text}"))

    def warn(self, text: str) -> None:
        self._listener(Notice(_TASK, text, warning=True))

    def end(self, outcome: Outcome, detail: str) -> None:
        self._listener(TaskRenamed(_TASK, "index"))
        self._listener(TaskFinished(_TASK, outcome, detail))
