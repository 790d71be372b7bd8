"""`verify`: a run over many files, recorded as it goes, so that it can be stopped at any time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event
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
from modelhub.services.verify.check import Checked, Verdict, check
from modelhub.services.verify.plan import plan

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.keeprows import Due
    from modelhub.services.verify.plan import Plan

_TASK = "verify"
_AT_ONCE = 256
DAMAGED = "damaged"
"""The kind of the history's events."""


@dataclass(slots=True)
class VerifyReport:
    """What a run found: all that is not as it was.

    :param planned: how many files the run meant to read, `planned_bytes` together.
    :param library_bytes: of all files that were asked for, read now or not.
    :param checked: how many were looked at, of which `ok` were as they had been.
    :param published: how many of these are as Civitai publishes them.
    """

    planned: int = 0
    planned_bytes: int = 0
    library_bytes: int = 0
    checked: int = 0
    read_bytes: int = 0
    ok: int = 0
    published: int = 0
    seconds: float = 0.0
    findings: tuple[Checked, ...] = ()

    @property
    def damaged(self) -> int:
        """How many files lost or changed bytes by themselves."""
        return sum(one.verdict.damaged for one in self.findings)


def verify(
    catalog: Catalog,
    *,
    query: str = "",
    share: float | None = None,
    due: bool = False,
    older_than: timedelta = timedelta(0),
    listener: Listener = silent,
    cancel: Event | None = None,
) -> VerifyReport:
    """Read files again, those first that were not read for longest, and compare them.

    What is well is recorded with the time; what is damaged gets a fault and an event in the
    history, and is left as it is on disk; what somebody changed becomes ``changed`` and waits for
    the next index; what is missing is only told, since index knows an unmounted disk from a
    deleted file.

    :param query: only these files and their parts; empty: all that were hashed.
    :param share: at most about so much of their bytes, from 0 to 1; None: all.
    :param due: `share` is that of a week, less what was read in the last seven days.
    :param older_than: leave out what was verified more recently.
    :raises QuerySyntaxError: `query` has a mistake.
    :raises Cancelled: `cancel` was set; what was read so far is recorded.
    :raises CatalogError: the catalog cannot be written to.
    """
    now = datetime.now(UTC)
    order = catalog.reading_order(query or None)
    chosen = plan(order, share=share, due=due, before=now - older_than, now=now)
    return _Run(catalog, chosen, listener, cancel or Event()).run()


class _Run:
    def __init__(self, catalog: Catalog, chosen: Plan, listener: Listener, cancel: Event) -> None:
        self._catalog, self._chosen = catalog, chosen
        self._listener, self._cancel = listener, cancel
        self._findings: list[Checked] = []
        self._done = 0
        self.report = VerifyReport(len(chosen.ids), chosen.size, chosen.whole)

    def run(self) -> VerifyReport:
        """Read everything that was chosen."""
        started = time.monotonic()
        self._listener(TaskStarted(_TASK, "verify"))
        self._listener(StageEntered(_TASK, Stage.VERIFY, self._chosen.size))
        try:
            for due in self._due():
                if self._cancel.is_set():
                    raise Cancelled("stopped while verifying")
                self._verify(due)
        except Cancelled:
            self._listener(TaskFinished(_TASK, Outcome.CANCELLED, self._so_far()))
            raise Cancelled(
                f"stopped while verifying: {self._so_far()}",
                hint="those are recorded: run it again with `--older-than 1` to go on",
            ) from None
        self.report.seconds = time.monotonic() - started
        self.report.findings = tuple(self._findings)
        outcome = Outcome.FAILED if self.report.damaged else Outcome.DONE
        self._listener(TaskFinished(_TASK, outcome, self._so_far()))
        return self.report

    def _so_far(self) -> str:
        return f"{self.report.checked:,} of {self.report.planned:,} files, {self.report.ok:,} ok"

    def _due(self) -> Iterator[Due]:
        ids = self._chosen.ids
        for start in range(0, len(ids), _AT_ONCE):
            yield from self._catalog.due_files(ids[start : start + _AT_ONCE])

    def _verify(self, due: Due) -> None:
        self._listener(TaskRenamed(_TASK, due.path))
        before = self._done

        def tell(done: int) -> None:
            self._listener(
                Advanced(_TASK, min(before + done, before + due.size), self._chosen.size)
            )

        checked = check(due, tell, self._cancel)
        self._done = before + due.size
        self._listener(Advanced(_TASK, self._done, self._chosen.size))
        self.report.checked += 1
        if checked.sha256 is not None:
            self.report.read_bytes += due.size
        if checked.verdict is Verdict.OK:
            self.report.ok += 1
            self.report.published += checked.published
        else:
            checked = self._with_copies(checked)
            self._findings.append(checked)
            text = f"{checked.path}: {checked.verdict}: {checked.detail}"
            self._listener(Notice(_TASK, text, warning=True))
        self._record(due, checked)

    def _with_copies(self, checked: Checked) -> Checked:
        if checked.verdict is Verdict.CHANGED:
            return checked
        from modelhub.catalog import FileState

        rows = self._catalog.find_local_by_sha256(checked.expected)
        others = tuple(
            row.file
            for row in rows
            if row.id != checked.id and row.state is FileState.HASHED and row.file.exists()
        )
        return replace(checked, elsewhere=others)

    def _record(self, due: Due, checked: Checked) -> None:
        """Record at once: a run that is killed loses nothing."""
        from modelhub.catalog import FileState

        now = datetime.now(UTC)
        catalog, verdict = self._catalog, checked.verdict
        with catalog.transaction():
            if verdict is Verdict.OK:
                catalog.record_verified(due.id, now, ok=True)
                if checked.mtime_ns is not None and checked.mtime_ns != due.mtime_ns:
                    catalog.touch([(due.id, due.size, checked.mtime_ns, checked.inode)])
            elif verdict.damaged:
                fault = f"{verdict}: {checked.detail}"
                catalog.record_verified(due.id, now, ok=False, fault=fault)
                if fault != due.fault:
                    self._record_event(due, checked)
            elif verdict is Verdict.CHANGED:
                catalog.set_state([due.id], FileState.CHANGED)

    def _record_event(self, due: Due, checked: Checked) -> None:
        from modelhub.catalog import EventRecord

        self._catalog.record_event(
            EventRecord(
                kind=DAMAGED,
                text=f"{due.path}: {checked.verdict}: {checked.detail}",
                sha256=due.sha256,
                local_file_id=due.id,
                detail={"verdict": checked.verdict, "found": checked.sha256, "size": due.size},
            )
        )
