"""`organize`: a plan, made or only told; and the way back."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled
from modelhub.progress import (
    Advanced,
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
from modelhub.services.organize.applying import Applier
from modelhub.services.organize.journal import Journal, opened_journal
from modelhub.services.organize.model import Moved, OrganizeReport, Plan, Skipped
from modelhub.services.organize.planning import Wish, plan
from modelhub.services.organize.undo import plan_undo

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config

_TASK = "organize"


def organize(
    wish: Wish,
    *,
    catalog: Catalog,
    config: Config,
    apply: bool = False,
    prune_empty: bool = False,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
) -> OrganizeReport:
    """Plan the moves into the layout, and make them if `apply` says so.

    Each move is one event of the history, from which :func:`undo` takes it back. A move that an
    earlier run was killed in is brought to its end first.

    :param prune_empty: remove folders that the moves leave empty.
    :raises QuerySyntaxError: the query has a mistake.
    :raises ConfigError: layout, template or folders are wrong.
    :raises AlreadyRunning: another process is moving files.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """

    def made() -> Plan:
        return plan(wish, catalog=catalog, config=config)

    if not apply:
        return OrganizeReport(made())
    return _run(made, catalog, listener, cancel, prune_empty=prune_empty)


def undo(
    which: str,
    *,
    catalog: Catalog,
    apply: bool = True,
    prune_empty: bool = False,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
) -> OrganizeReport:
    """Take back the last run, a run by its name, or one move by the number of its event.

    :raises NotFoundError: there is no such run or move, or it was taken back already.
    :raises AlreadyRunning, CatalogError: as :func:`organize`.
    """

    def made() -> Plan:
        return plan_undo(which, catalog=catalog)

    if not apply:
        return OrganizeReport(made())
    return _run(made, catalog, listener, cancel, prune_empty=prune_empty)


def _run(
    made: Callable[[], Plan],
    catalog: Catalog,
    listener: Listener,
    cancel: threading.Event | None,
    *,
    prune_empty: bool,
) -> OrganizeReport:
    """Finish what was interrupted, then make the plan, and then the moves."""
    report = OrganizeReport(Plan(), applied=True, run=_new_run())
    with opened_journal(catalog) as journal:
        applier = _applier(catalog, journal, report.run, listener, cancel)
        listener(TaskStarted(_TASK, _TASK))
        listener(StageEntered(_TASK, Stage.PLACE))
        try:
            _finish(catalog, journal, report, listener, cancel)
            report.plan = made()
            _apply(applier, report, listener, cancel)
        except Cancelled as error:
            report.stopped = error
    if prune_empty:
        roots = {movement.from_root for movement in report.plan.movements}
        report.pruned = list(_prune(applier.left, roots))
    outcome = Outcome.CANCELLED if report.stopped else Outcome.DONE
    listener(TaskFinished(_TASK, outcome, f"{len(report.moved):,} moved"))
    return report


def _finish(
    catalog: Catalog,
    journal: Journal,
    report: OrganizeReport,
    listener: Listener,
    cancel: threading.Event | None,
) -> None:
    """Bring the move to its end in which an earlier run was killed."""
    found = journal.interrupted()
    if found is None:
        return
    run, movement = found
    moved = _applier(catalog, journal, run, listener, cancel).finish(movement)
    if moved is not None:
        report.finished.append(moved)
    journal.end()


def _applier(
    catalog: Catalog,
    journal: Journal,
    run: str,
    listener: Listener,
    cancel: threading.Event | None,
) -> Applier:
    def progress(done: int, total: int) -> None:
        listener(Advanced(_TASK, done, total))

    return Applier(catalog, journal, run, cancel=cancel, progress=progress)


def _apply(
    applier: Applier,
    report: OrganizeReport,
    listener: Listener,
    cancel: threading.Event | None,
) -> None:
    movements = report.plan.movements
    for number, movement in enumerate(movements, start=1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped; what was moved stays moved")
        listener(TaskRenamed(_TASK, f"{number:,} of {len(movements):,}: {movement.name}"))
        done = applier.apply(movement)
        if isinstance(done, Skipped):
            report.failed.append(done)
        else:
            report.moved.append(done)
            _tell(done, listener)


def _tell(moved: Moved, listener: Listener) -> None:
    for notice in moved.notices:
        listener(Notice(_TASK, f"{moved.movement.name}: {notice}", warning=True))


def _prune(folders: Iterable[Path], roots: set[Path]) -> Iterable[Path]:
    """Remove the folders that are empty now, and those above them that become so, below a root."""
    for folder in sorted(folders, key=lambda one: -len(one.parts)):
        here = folder
        while any(here != root and here.is_relative_to(root) for root in roots):
            with contextlib.suppress(OSError):
                here.rmdir()
                yield here
                here = here.parent
                continue
            break


def _new_run() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
