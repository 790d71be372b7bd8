"""Conversions one after the other: prepared, written, verified, recorded; each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from modelhub.convert.options import Overflow
from modelhub.convert.plan import with_provenance
from modelhub.errors import Cancelled, ModelhubError
from modelhub.progress import (
    Advanced,
    Listener,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskStarted,
)
from modelhub.services.convert.making import Maker
from modelhub.services.convert.naming import result_path, source_stem
from modelhub.services.convert.outcome import (
    ConvertedFile,
    ConvertOutcome,
    FailedConversion,
    PlannedConversion,
    PlanOutcome,
)
from modelhub.services.convert.preparing import Prepared, enter, prepared
from modelhub.services.convert.recording import delete_source
from modelhub.services.convert.report import changes, planned_conversion, widened
from modelhub.services.convert.request import ConvertRequest, check_request
from modelhub.services.convert.source_hash import OTHERS, UNKNOWN
from modelhub.services.convert.sources import require_model

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.config import Config
    from modelhub.convert.planning import Plan
    from modelhub.convert.writers import Overflowing

_Done = TypeVar("_Done", ConvertedFile, PlannedConversion)
_WIDER = {Overflow.STOP: None, Overflow.FP32: "F32", Overflow.BF16: "BF16"}
_UNFORESEEN = (OSError, ValueError, RecursionError, MemoryError, OverflowError)
_NOT_BEGUN = "not begun: it was stopped before"


def convert(
    sources: Sequence[Path],
    request: ConvertRequest,
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
) -> list[ConvertOutcome]:
    """Convert each file to a new one. One that fails does not stop the others.

    A result has its name only when it is whole, on disk, and was compared with its source. Nothing
    is ever replaced; a source is removed only where the request says so, after that.

    :returns: one outcome for each source, in their order; after a `cancel`, :class:`Cancelled` for
        the one at work and all behind it.
    :raises UsageError: the request makes no sense.
    :raises UnknownFile, FileUnreadable: what is to go into all of them is not there, or no model.
    """
    _check(request, sources)
    run = _Run(request, config, catalog, listener, cancel, several=len(sources) > 1)
    return run.each(sources, run.convert)


def plan_conversions(
    sources: Sequence[Path],
    request: ConvertRequest,
    *,
    config: Config,
    catalog: Catalog,
    listener: Listener,
    cancel: Event,
) -> list[PlanOutcome]:
    """What :func:`convert` would do; the same arguments, and nothing is written."""
    _check(request, sources)
    run = _Run(request, config, catalog, listener, cancel, several=len(sources) > 1)
    return run.each(sources, run.plan)


def _check(request: ConvertRequest, sources: Sequence[Path]) -> None:
    """Refuse once what would fail for each source alike.

    :raises UsageError: the request makes no sense, or its output is no place for all results.
    :raises UnknownFile, FileUnreadable: what is to go into all of them is not there, or no model.
    """
    check_request(request)
    for one in request.others:
        require_model(one)
    if sources:
        result_path(sources[0], request, several=len(sources) > 1)


def _size(ready: Prepared, plan: Plan) -> int | None:
    """Of the result: its hashes are not known yet, but how long they are is."""
    from modelhub.convert.writers import file_size

    plan = with_provenance(plan, UNKNOWN, title=source_stem(ready.source.path))
    if ready.others:
        others = " ".join([UNKNOWN] * len(ready.others))
        plan = replace(plan, metadata={**plan.metadata, OTHERS: others})
    return file_size(plan)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the conversions of one call share."""

    request: ConvertRequest
    config: Config
    catalog: Catalog
    listener: Listener
    cancel: Event
    several: bool

    def each(
        self, sources: Sequence[Path], step: Callable[[str, Path], _Done]
    ) -> list[_Done | FailedConversion]:
        """`step` for each source in turn; an error of ours is an outcome, not raised."""
        for number, source in enumerate(sources):
            self.listener(TaskStarted(str(number), source.name))
        done: list[_Done | FailedConversion] = []
        for number, source in enumerate(sources):
            task = str(number)
            try:
                if self.cancel.is_set():
                    raise Cancelled(f"{source}: {_NOT_BEGUN}")
                done.append(step(task, source))
            except ModelhubError as error:
                done.append(self._failed(task, source, error))
            except _UNFORESEEN as error:
                # A reader should have refused it: the file is still one file of many.
                bug = ModelhubError(f"{source}: unexpected {type(error).__name__}: {error}")
                bug.__cause__ = error
                done.append(self._failed(task, source, bug))
        return done

    def _failed(self, task: str, source: Path, error: ModelhubError) -> FailedConversion:
        stopped = isinstance(error, Cancelled)
        outcome = Outcome.CANCELLED if stopped else Outcome.FAILED
        self.listener(TaskFinished(task, outcome, error.message))
        return FailedConversion(source, error)

    def _target(self, source: Path) -> Path:
        return result_path(source, self.request, several=self.several).absolute()

    def plan(self, task: str, path: Path) -> PlannedConversion:
        """What would become of one source."""
        with prepared(path, self.request, task, self.listener, self.cancel) as ready:
            found = self._overflows(task, ready)
            shown = widened(ready.plan, found, _WIDER[self.request.options.overflow])
            planned = planned_conversion(
                ready.source,
                shown,
                self._target(path),
                verdict=ready.verdict,
                overflows=found,
                size=_size(ready, shown),
            )
        self.listener(TaskFinished(task, Outcome.PLANNED, str(planned.target)))
        return planned

    def _overflows(self, task: str, ready: Prepared) -> tuple[Overflowing, ...]:
        from modelhub.convert.writers import find_overflows

        enter(task, Stage.COMPARE, self.listener, self.cancel)

        def tell(_phase: object, done: int, total: int) -> None:
            if not done:
                self.listener(StageEntered(task, Stage.COMPARE, total))
            self.listener(Advanced(task, done, total))

        return find_overflows(ready.plan.tensors, progress=tell, cancel=self.cancel)

    def convert(self, task: str, path: Path) -> ConvertedFile:
        """One source from its scan to its result's record."""
        target = self._target(path)
        with prepared(path, self.request, task, self.listener, self.cancel) as ready:
            for text in ready.plan.notices:
                self.listener(Notice(task, text))
            if self.request.output is None and not changes(ready.source, ready.plan):
                result = self._as_it_is(path, ready)
            else:
                maker = Maker(
                    ready,
                    target,
                    self.request,
                    task,
                    self.config,
                    self.catalog,
                    self.listener,
                    self.cancel,
                )
                result = maker.make()
            if self.request.delete_source:
                result = self._delete(ready, path, result)
        self.listener(TaskFinished(task, result.outcome, str(result.path)))
        return result

    @staticmethod
    def _as_it_is(path: Path, ready: Prepared) -> ConvertedFile:
        size = ready.source.header.size
        return ConvertedFile(
            source=path,
            outcome=Outcome.PRESENT,
            path=path,
            operation="nothing to change",
            size=size,
            source_size=size,
            notices=ready.notices,
        )

    def _delete(self, ready: Prepared, path: Path, result: ConvertedFile) -> ConvertedFile:
        """Remove the source of a result that was verified in this run."""
        reason = ""
        if result.outcome is not Outcome.DONE:
            reason = "its result was not made, and not verified, by this run"
        elif ready.source.header.parts or path.is_symlink() or not path.is_file():
            reason = "it is not one plain file"
        if reason:
            return replace(result, notices=(*result.notices, f"{path} was not deleted: {reason}"))
        ready.check_unchanged()
        delete_source(self.catalog, path, result.path, result.source_sha256 or "")
        return replace(result, deleted_source=True)
