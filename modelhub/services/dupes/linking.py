"""`dupes --link`: copies become links, one by one; each is compared byte by byte before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled, DiskError
from modelhub.placement.links import Linked, LinkResult
from modelhub.placement.relink import replace_by_link
from modelhub.progress import (
    Advanced,
    Listener,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
    silent,
)
from modelhub.services.dupes.model import DupesReport, Member

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

_TASK = "link"
LINKED = "linked"
"""The kind of the history's events."""


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What became of the copies.

    :param linked: those that are links now, with how.
    :param left: those that are as they were, and why.
    :param freed: bytes.
    """

    linked: tuple[LinkResult, ...]
    left: tuple[LinkResult, ...]
    freed: int


def link_copies(
    catalog: Catalog,
    report: DupesReport,
    *,
    listener: Listener = silent,
    cancel: Event | None = None,
) -> LinkReport:
    """Replace each copy of `report` by a link to the file of its group that is kept.

    A reflink where the file system has them, else a hard link. A file that is not as it was when
    it was hashed, or differs in a byte, is left alone, and so is everything on another disk. Each
    link is recorded at once, in the catalog and in the history.

    :raises Cancelled: `cancel` was set; what was linked is recorded.
    :raises CatalogError: the catalog cannot be written to.
    """
    copies = [one for group in report.groups for one in group.members if one.link_to is not None]
    run = _Linking(catalog, listener, cancel or Event(), sum(one.size for one in copies))
    listener(TaskStarted(_TASK, "link"))
    listener(StageEntered(_TASK, Stage.LINK, run.total))
    try:
        for copy in copies:
            run.link(copy)
    except Cancelled:
        listener(TaskFinished(_TASK, Outcome.CANCELLED, f"{len(run.linked):,} linked"))
        raise
    listener(TaskFinished(_TASK, Outcome.DONE, f"{len(run.linked):,} linked"))
    return LinkReport(tuple(run.linked), tuple(run.left), run.freed)


class _Linking:
    def __init__(self, catalog: Catalog, listener: Listener, cancel: Event, total: int) -> None:
        self._catalog, self._listener, self._cancel = catalog, listener, cancel
        self.total = total
        self._done = 0
        self.linked: list[LinkResult] = []
        self.left: list[LinkResult] = []
        self.freed = 0

    def link(self, copy: Member) -> None:
        """Link one copy, or note why not."""
        if self._cancel.is_set():
            raise Cancelled("stopped while linking")
        self._listener(TaskRenamed(_TASK, copy.path.name))
        before = self._done
        try:
            result = self._result(copy)
        except DiskError as error:
            result = LinkResult(Linked.UNSUPPORTED, copy.path, error.message)
        self._done = before + copy.size
        self._listener(Advanced(_TASK, self._done, self.total))
        if result.how in (Linked.REFLINK, Linked.HARD_LINK):
            self._record(copy, result)
            self.linked.append(result)
            self.freed += copy.saves
        else:
            self.left.append(result)

    def _result(self, copy: Member) -> LinkResult:
        kept = copy.link_to or copy.path
        known = self._catalog.find_local_by_path(kept)
        try:
            kept_as, copy_as = kept.lstat(), copy.path.lstat()
        except OSError as error:
            return LinkResult(Linked.DIFFERENT, copy.path, f"{error.filename}: {error.strerror}")
        if known is None or _stat(kept_as) != (known.size, known.mtime_ns):
            return LinkResult(Linked.DIFFERENT, copy.path, f"{kept} changed since it was hashed")
        if _stat(copy_as) != (copy.size, copy.mtime_ns):
            return LinkResult(Linked.DIFFERENT, copy.path, "changed since it was hashed")
        before = self._done

        def tell(done: int) -> None:
            self._listener(Advanced(_TASK, before + done, self.total))

        return replace_by_link(
            kept,
            copy.path,
            kept_as=kept_as,
            copy_as=copy_as,
            progress=tell,
            cancel=self._cancel,
        )

    def _record(self, copy: Member, result: LinkResult) -> None:
        from modelhub.catalog import EventRecord

        now = copy.path.lstat()
        with self._catalog.transaction():
            self._catalog.touch([(copy.id, now.st_size, now.st_mtime_ns, now.st_ino)])
            self._catalog.record_event(
                EventRecord(
                    kind=LINKED,
                    text=f"{copy.path} is a {result.how} of {copy.link_to} now",
                    sha256=copy.sha256,
                    local_file_id=copy.id,
                    detail={
                        "how": result.how,
                        "path": os.fspath(copy.path),
                        "kept": os.fspath(copy.link_to or ""),
                        "mtime_ns": copy.mtime_ns,
                        "freed": copy.saves,
                    },
                )
            )


def _stat(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
