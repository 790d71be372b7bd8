"""From a path to a plan: scanned, opened, planned. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled
from modelhub.formats.reading import require_regular
from modelhub.progress import Advanced, Listener, Notice, Stage, StageEntered
from modelhub.services.convert.planners import plan_of
from modelhub.services.convert.request import ConvertRequest
from modelhub.services.convert.sources import files_of, require_model

if TYPE_CHECKING:
    from modelhub.convert.planning import Plan
    from modelhub.convert.readers import Source


@dataclass(frozen=True, slots=True)
class Prepared:
    """A conversion that could begin.

    :param others: the files that go in besides, in the order of :attr:`ConvertRequest.others`.
    :param verdict: the worst of the source's files.
    :param notices: what the user should know of the scan.
    """

    source: Source
    others: tuple[Source, ...]
    plan: Plan
    verdict: str
    notices: tuple[str, ...]

    def check_unchanged(self) -> None:
        """Refuse to go on with files that are not what they were when they were opened.

        :raises FileUnreadable: one of them changed.
        """
        for one in (self.source, *self.others):
            one.check_unchanged()


@contextmanager
def prepared(
    path: Path, request: ConvertRequest, task: str, listener: Listener, cancel: Event
) -> Iterator[Prepared]:
    """Scan and open a source and all that goes into its result, and plan it.

    :raises UnsafeFileError: one is dangerous, and that was not allowed; it was not opened.
    :raises FormatError, FileUnreadable: one is damaged or cannot be read.
    :raises ConversionRefused: what was asked cannot be made of it.
    :raises Cancelled: `cancel` was set.
    """
    enter(task, Stage.SCAN, listener, cancel)
    require_model(path)
    verdict, notices = _scanned(path, request, task, listener, cancel)
    for other in request.others:
        require_model(other)
        notices += _scanned(other, request, task, listener, cancel)[1]
    from modelhub.convert.readers import open_source

    comparing = False

    def tell(done: int, total: int) -> None:
        # Layers are counted, and shown as their share of the source's bytes.
        nonlocal comparing
        size = source.header.size
        if not comparing:
            comparing = True
            listener(StageEntered(task, Stage.COMPARE, size))
        listener(Advanced(task, size * done // max(total, 1), size))

    with ExitStack() as stack:
        enter(task, Stage.READ, listener, cancel)
        source = stack.enter_context(open_source(path))
        others = tuple(stack.enter_context(open_source(one)) for one in request.others)
        plan = plan_of(request, source, others, progress=tell, cancel=cancel)
        yield Prepared(source, others, plan, verdict, notices)


def enter(
    task: str, stage: Stage, listener: Listener, cancel: Event, total: int | None = None
) -> None:
    """Tell of the next stage of a task.

    :raises Cancelled: the user stopped it.
    """
    if cancel.is_set():
        raise Cancelled("stopped", hint="nothing was left behind; the same command starts over")
    listener(StageEntered(task, stage, total))


def _files(path: Path) -> Iterator[Path]:
    """The files of a model; what is one by itself comes before any look at what it belongs to."""
    if path.is_file():
        yield path
    yield from (one for one in files_of(path) if one != path)


def _scanned(
    path: Path, request: ConvertRequest, task: str, listener: Listener, cancel: Event
) -> tuple[str, tuple[str, ...]]:
    """The worst verdict on the files of a model, and the sentences to show."""
    from modelhub.formats.scan import scan_file
    from modelhub.services.scan import require_safe

    worst, notices = "safe", []
    order = ("safe", "suspicious", "dangerous")
    for file in _files(path):
        if cancel.is_set():
            raise Cancelled("stopped", hint="nothing was left behind; the same command starts over")
        require_regular(file)
        report = scan_file(file)
        warning = require_safe(report, file, allow=request.allow_unsafe)
        worst = max(worst, report.verdict.value, key=order.index)
        if warning:
            notices.append(warning)
            listener(Notice(task, warning, warning=True))
    return worst, tuple(notices)
