"""`match`: what is here and unknown, asked of Civitai by hash.

In three steps, each cheaper a file than the next: which of ten thousand SHA256 are known at all;
the versions of those that are, a hundred at once, with their models; and for some of the rest the
hash of the tensors alone (AutoV3), one by one: it finds a file of which only the metadata was
edited. The catalog remembers each answer, also that there was none, as soon as it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from modelhub.errors import (
    AccessError,
    Cancelled,
    ModelhubError,
    NetworkError,
)
from modelhub.progress import (
    Listener,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
    silent,
)
from modelhub.services.listed import every_file
from modelhub.services.match.disowning import disown_copied
from modelhub.services.match.recording import Described, Recorder
from modelhub.services.match.sidecars import SidecarReport, import_sidecars

if TYPE_CHECKING:
    import threading

    from modelhub.catalog import BlobKey, Catalog
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config

T = TypeVar("T")

_TASK = "match"
_AT_ONCE = 10_000
"""Hashes in one question of the first step, as many as the server takes."""
_VERSIONS_AT_ONCE = 100
_ALL = 100_000_000


@dataclass(slots=True)
class MatchReport:
    """What a run asked, and what came of it; counts are of contents, not of copies."""

    asked: int = 0
    found: int = 0
    """Those that Civitai publishes, the ones found by their tensors included."""
    not_found: int = 0
    new: int = 0
    """Those found of which the catalog knew no publication before."""
    by_tensors: int = 0
    """Those that are a published file but for their metadata."""
    left: int = 0
    """Those that the next run asks about once more, by their tensors."""
    unhashed: int = 0
    """Files that cannot be asked about, since they were not hashed yet."""
    described: list[Described] = field(default_factory=list)
    """What was found, in the order of the answers."""
    sidecars: SidecarReport = field(default_factory=SidecarReport)
    stopped: ModelhubError | None = None
    """Why it ended before the end; what was answered until then is recorded."""


def match(
    *,
    catalog: Catalog,
    client: CivitaiClient,
    config: Config,
    query: str = "",
    again: bool = False,
    listener: Listener = silent,
    cancel: threading.Event | None = None,
) -> MatchReport:
    """Ask Civitai about the files of which no publication is known.

    Sidecars beside them are imported first: a proven one spares the question. An error of the
    network or a cancellation ends the run, keeps what is done, and is told in the report.

    :param query: only files that this query of the search language finds.
    :param again: ask also about what is known, and about what Civitai did not know lately.
    :raises QuerySyntaxError: the query has a mistake.
    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    report = MatchReport(unhashed=catalog.count(f"{query} state:new".strip()))
    started = datetime.now(UTC)
    asked_before = started if again else started - timedelta(days=config.match.retry_after)
    due = _due(catalog, query, asked_before, again=again)
    if due:
        sha256s = {key.sha256 for key in due}
        rows = (row for row in every_file(catalog, query) if row.sha256 in sha256s)
        report.sidecars = import_sidecars(rows, catalog=catalog, cancel=cancel)
    if report.sidecars.described and not again:
        due = _due(catalog, query, asked_before, again=False)
    if due:
        listener(TaskStarted(_TASK, "Civitai"))
        listener(StageEntered(_TASK, Stage.MATCH))
        asking = _Asking(catalog, client, config, report, listener, len(due))
        try:
            for batch in batches(due, _AT_ONCE):
                asking.about(batch)
        except (NetworkError, AccessError, Cancelled) as error:
            report.stopped = error
        _take_up(catalog, report)
        listener(_finished(report))
    return report


def _finished(report: MatchReport) -> TaskFinished:
    outcome = Outcome.DONE if report.stopped is None else Outcome.FAILED
    if isinstance(report.stopped, Cancelled):
        outcome = Outcome.CANCELLED
    return TaskFinished(_TASK, outcome, f"{report.found:,} found")


def _due(catalog: Catalog, query: str, asked_before: datetime, *, again: bool) -> list[BlobKey]:
    """The contents to ask about, each once."""
    files = query if query.strip() else None
    return catalog.unmatched(_ALL, asked_before=asked_before, everything=again, files=files)


def _take_up(catalog: Catalog, report: MatchReport) -> None:
    """Look at the sidecars of what is known now once more: whose words are in them can be told."""
    sha256s = dict.fromkeys(one.sha256 for one in report.described if one.is_new)
    rows = [row for sha256 in sha256s for row in catalog.find_local_by_sha256(sha256)]
    rows.sort(key=lambda row: (row.root, row.path))
    disown_copied(rows, catalog=catalog)
    report.sidecars.words += import_sidecars(rows, catalog=catalog).words


class _Asking:
    """The questions of one run, and what is counted of the answers."""

    def __init__(
        self,
        catalog: Catalog,
        client: CivitaiClient,
        config: Config,
        report: MatchReport,
        listener: Listener,
        total: int,
    ) -> None:
        self._catalog = catalog
        self._client = client
        self._report = report
        self._listener = listener
        self._total = total
        self._recorder = Recorder(catalog, client)
        self._by_tensors_left = config.match.by_tensors

    def about(self, batch: Sequence[BlobKey]) -> None:
        """Ask about one batch, and record each part of the answer as it comes."""
        known = {one.hash.upper() for one in self._client.ids_by_hashes(k.sha256 for k in batch)}
        self._report.asked += len(batch)
        self._tell()
        rest = [key for key in batch if key.sha256 not in known]
        for part in batches([key for key in batch if key.sha256 in known], _VERSIONS_AT_ONCE):
            sha256s = [key.sha256 for key in part]
            found = self._recorder.record_by_sha256(sha256s)
            self._found(found)
            self._not_found([one for one in sha256s if one not in {two.sha256 for two in found}])
            self._tell()
        self._ask_by_tensors(rest)

    def _ask_by_tensors(self, keys: Sequence[BlobKey]) -> None:
        """Ask once more about some that no SHA256 tells: only their metadata may differ."""
        unknown: list[str] = []
        try:
            for key in keys:
                if key.autov3 is None:
                    unknown.append(key.sha256)
                elif self._by_tensors_left == 0:
                    self._report.left += 1
                else:
                    self._by_tensors_left -= 1
                    found = self._recorder.record_by_tensors(key.sha256, key.autov3)
                    if found is None:
                        unknown.append(key.sha256)
                    else:
                        self._report.by_tensors += 1
                        self._found([found])
                    self._tell()
        finally:
            self._not_found(unknown)

    def _found(self, found: Sequence[Described]) -> None:
        contents = {one.sha256: one.is_new for one in found}
        self._report.found += len(contents)
        self._report.new += sum(contents.values())
        self._report.described += found

    def _not_found(self, sha256s: Sequence[str]) -> None:
        if sha256s:
            self._catalog.record_asked(sha256s, datetime.now(UTC))
            self._report.not_found += len(sha256s)

    def _tell(self) -> None:
        done = self._report.found + self._report.not_found
        name = f"Civitai: {done:,} of {self._total:,}"
        self._listener(TaskRenamed(_TASK, name))


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in parts of at most `size`, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
