"""`scan`: a verdict on files and on all files of folders; those of the catalog keep it there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.errors import Cancelled, FileUnreadable, MissingExtra, ModelhubError, UnknownFile
from modelhub.formats.reading import require_regular
from modelhub.progress import (
    Listener,
    Outcome,
    Stage,
    StageEntered,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)
from modelhub.services.inspect import local_path
from modelhub.services.scan.quarantine import HIDDEN
from modelhub.services.scan.report import format_of, pickles_in, report_json

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow
    from modelhub.formats.scan import ScanReport
    from modelhub.formats.scan.second import Opinion
    from modelhub.formats.tensors import FileFormat

_TASK = "scan"


@dataclass(frozen=True, slots=True)
class Scanned:
    """A file that was looked at.

    :param report: None where the file's format can carry no pickle.
    :param recorded: whether the catalog keeps the verdict.
    :param opinion: picklescan's, where it was asked for and there was something to scan.
    """

    path: Path
    format: FileFormat
    report: ScanReport | None
    recorded: bool = False
    opinion: Opinion | None = None

    @property
    def verdict(self) -> str:
        """``safe`` for what can carry no code, too."""
        return "safe" if self.report is None else self.report.verdict.value

    @property
    def is_safe(self) -> bool:
        """Whether nobody who was asked says otherwise."""
        theirs = self.opinion.verdict if self.opinion is not None else None
        return self.verdict == "safe" and theirs in (None, "safe")


@dataclass(frozen=True, slots=True)
class FailedScan:
    """A file or folder that could not be looked at, and why."""

    path: Path
    error: ModelhubError


def targets_of(catalog: Catalog, texts: Sequence[str], query: str | None) -> list[Path]:
    """The files and folders that are meant: by paths, else by what the catalog calls them.

    :param query: all files that this query finds, besides.
    :raises UnknownFile: a text is neither.
    :raises AmbiguousFile: a text fits several files of the catalog.
    :raises QuerySyntaxError: the query has a mistake.
    """
    found = [local_path(text) or catalog.resolve_file(text).file for text in texts]
    if query is not None:
        from modelhub.services.listed import every_file

        for row in every_file(catalog, query):
            if row.state != "missing":
                found += [row.file, *_other_parts(catalog, row)]
    return list(dict.fromkeys(found))


def _other_parts(catalog: Catalog, row: FileRow) -> list[Path]:
    if row.parts == 1:
        return []
    from modelhub.catalog import decode_path

    root, parts = decode_path(row.root), catalog.show(row.id).parts
    return [root / decode_path(one.path) for one in parts if one.state != "missing"]


def scan_files(
    targets: Sequence[Path],
    *,
    catalog: Catalog | None,
    listener: Listener,
    cancel: Event,
    second_opinions: bool = False,
) -> Iterator[Scanned | FailedScan]:
    """Look at files one after the other; one that cannot be read hinders none of the others.

    Of a folder all files below are looked at, whatever they are called, but for those in
    modelhub's own quarantine.

    :param catalog: keeps the verdicts on files that it knows; None: nothing is kept.
    :raises MissingExtra: second opinions were asked for, and picklescan is not installed.
    :raises Cancelled: `cancel` was set.
    """
    listener(TaskStarted(_TASK, "scan"))
    listener(StageEntered(_TASK, Stage.SCAN))
    number = 0
    try:
        for path in _all_files(targets):
            if cancel.is_set():
                raise Cancelled("stopped while scanning")
            if isinstance(path, FailedScan):
                yield path
                continue
            number += 1
            listener(TaskRenamed(_TASK, f"scan {path.name}"))
            yield _scanned(path, catalog, second_opinions)
    except Cancelled as error:
        listener(TaskFinished(_TASK, Outcome.CANCELLED, error.message))
        raise
    except ModelhubError as error:
        listener(TaskFinished(_TASK, Outcome.FAILED, error.message))
        raise
    listener(TaskFinished(_TASK, Outcome.DONE, f"{number:,} scanned"))


def _all_files(targets: Sequence[Path]) -> Iterator[Path | FailedScan]:
    for target in targets:
        if target.is_dir():
            yield from _files_below(target)
        else:
            yield target


def _files_below(folder: Path) -> Iterator[Path | FailedScan]:
    refused: list[FailedScan] = []

    def refuse(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename or folder))
        told = FileUnreadable(f"cannot read {path}: {error.strerror or error}")
        refused.append(FailedScan(path, told))

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name != HIDDEN)
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file():
                yield path
        yield from refused
        refused.clear()
    yield from refused


def _scanned(path: Path, catalog: Catalog | None, second_opinions: bool) -> Scanned | FailedScan:
    try:
        before = require_regular(path)
        found = format_of(path)
        report = pickles_in(path, found)
        if (now := require_regular(path)).st_mtime_ns != before.st_mtime_ns:
            raise FileUnreadable(
                f"{path} changed while it was read", hint="try again when it is fully written"
            )
    except ModelhubError as error:
        return FailedScan(path, _not_found(path, error))
    opinion = _opinion(path) if second_opinions and report is not None else None
    kept = catalog is not None and report is not None and _record(catalog, path, now, report)
    return Scanned(path, found, report, kept, opinion)


def _not_found(path: Path, error: ModelhubError) -> ModelhubError:
    """What is not there at all is told apart from what cannot be read."""
    return error if os.path.lexists(path) else UnknownFile(f"there is no file {path}")


def _opinion(path: Path) -> Opinion:
    from modelhub.formats.scan.second import second_opinion

    opinion = second_opinion(path)
    if opinion is None:
        raise MissingExtra(
            "a second opinion needs picklescan", hint="pip install 'modelhub[scan]' adds it"
        )
    return opinion


def _record(catalog: Catalog, path: Path, status: os.stat_result, report: ScanReport) -> bool:
    from modelhub.catalog import Verdict

    whole = Path(os.path.normpath(path.absolute()))
    file_id = None if catalog.read_only else _file_id(catalog, whole)
    if file_id is None:
        return False
    found = Verdict(
        file_id,
        status.st_size,
        status.st_mtime_ns,
        report.verdict.value,
        report.scanner,
        report_json(report),
    )
    return catalog.record_verdicts([found])[0]


def _file_id(catalog: Catalog, path: Path) -> int | None:
    """The catalog's number of the file at `path`, which may be a part of a model."""
    row = catalog.find_local_by_path(path)
    if row is None or row.file == path:
        return None if row is None else row.id
    from modelhub.catalog import decode_path

    root = decode_path(row.root)
    parts = catalog.show(row.id).parts
    return next((one.id for one in parts if root / decode_path(one.path) == path), None)
