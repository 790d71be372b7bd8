"""Reading one file for the catalog: header, identification, words.

A file that cannot be read, or is no model, is recorded all the same, with its fault: it is listed,
found by ``fault:yes``, and looked at again once it changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from modelhub.catalog.paths import decode_path
from modelhub.catalog.records import Found, ScannedFile
from modelhub.catalog.scanning import Prepared, prepare
from modelhub.errors import FormatError, ModelhubError
from modelhub.formats.grouping import INCOMPLETE
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.formats.reading import read_header, read_model
from modelhub.formats.tensors import FileFormat, Header, SharedTensors
from modelhub.services.index.reading import How, Job
from modelhub.services.scan.report import TENSORS_ALONE, format_of, pickles_in, report_json

if TYPE_CHECKING:
    from modelhub.formats.scan import ScanReport

MOST_METADATA = 1 << 20
"""Characters of metadata that are kept of one file; of more, the longest values are left out."""

_NEVER = frozenset(
    {FileFormat.HTML, FileFormat.JSON, FileFormat.IMAGE, FileFormat.TEXT, FileFormat.EMPTY}
)
"""Formats that are no models, whatever the file is called."""
_UNFORESEEN = (OSError, ValueError, RecursionError, MemoryError, OverflowError)
_MOST_TENSORS = 2_048
_encode = msgspec.json.Encoder().encode


class Pickles(NamedTuple):
    """What a scan found in a file that can carry pickles."""

    format: FileFormat
    report: ScanReport


class _Read(NamedTuple):
    """A job whose file was read: its header, or what is wrong with it; a part has neither."""

    job: Job
    path: Path
    header: Header | None
    fault: str | None
    pickles: Pickles | None


def prepared(jobs: Sequence[Job], now: datetime) -> list[Prepared | None]:
    """What is in the files of `jobs`, ready to be recorded, in their order; raises nothing.

    :return: None in the place of a file that is not as its job says, or changed meanwhile.
    """
    done: list[Prepared | None] = []
    # Each step is done for many files at a time: the code and the tables of one fit the caches of
    # a processor, those of all do not, and that is a quarter of the time.
    while len(done) < len(jobs):
        read = _some_read(jobs, len(done))
        scanned = [one and _scanned(one.job, *_found(one)) for one in read]
        done += [None if one is None else prepare(one, now) for one in scanned]
    return done


def prepared_faulty(job: Job, fault: str, now: datetime) -> Prepared:
    """The same of a file that is not to be read, for what is wrong with it."""
    return prepare(_scanned(job, None, fault), now)


def _scanned(job: Job, found: Found | None, fault: str | None) -> ScannedFile:
    return ScannedFile(
        path=job.path,
        size=job.size,
        mtime_ns=job.mtime_ns,
        inode=job.inode,
        found=found,
        fault=fault,
        part_of=job.part_of,
    )


def _some_read(jobs: Sequence[Job], start: int) -> list[_Read | None]:
    """The headers of the next jobs, of as many as may be in memory at a time."""
    read: list[_Read | None] = []
    room = _MOST_TENSORS
    for job in islice(jobs, start, None):
        one = _read(job)
        read.append(one)
        if one is not None and one.header is not None:
            tensors = one.header.tensors
            room -= 0 if isinstance(tensors, SharedTensors) else len(tensors)
            if room <= 0:
                break
    return read


def _read(job: Job) -> _Read | None:
    # A path is parsed in microseconds, decoded in some more: few have to be.
    path = Path(job.root, decode_path(job.path) if "//" in job.path else job.path)
    header, fault, readable = None, None, True
    try:
        header = _header(path, job.how)
    except ModelhubError as error:
        fault = _without_path(error, path)
        readable = isinstance(error, FormatError)
    except _UNFORESEEN as error:
        fault = _unforeseen(error)
    pickles = None
    if readable:
        try:
            pickles = pickles_of(path, header if job.how is How.HEADER else None)
            if pickles is None and header is not None and header.format is FileFormat.DIFFUSERS:
                pickles = _safe_folder(path.parents[1], header)
        except (ModelhubError, *_UNFORESEEN) as error:
            fault = fault or f"its pickles cannot be scanned: {error}"
    return _Read(job, path, header, fault, pickles) if _as_seen(path, job) else None


def pickles_of(path: Path, header: Header | None = None, *, name: str = "") -> Pickles | None:
    """What a scan finds in a file, be it damaged: what stands before the damage runs.

    :param header: of that very file, where it was read.
    :param name: what it is to be called, where that is not the name of `path`.
    :raises FileUnreadable: it cannot be read.
    """
    found = format_of(path) if header is None else header.format
    report = pickles_in(path, found, name=name)
    return None if report is None else Pickles(found, report)


def _safe_folder(folder: Path, header: Header) -> Pickles | None:
    """The verdict on a folder of diffusers, if none of its weights is in a file that can carry
    code; else those on its files tell."""
    if any(format_of(folder / part) not in TENSORS_ALONE for part in header.parts):
        return None
    from modelhub.formats.scan import ScanReport, Verdict

    return Pickles(header.format, ScanReport(Verdict.SAFE))


def found_in(path: Path, pickles: Pickles | None = None, *, name: str = "") -> Found | None:
    """What is in one file, for the catalog; None where it is no proper model.

    :param pickles: what a scan found, where there was one; else the file is scanned.
    :param name: its name, where it is not that of `path`.
    :raises FileUnreadable: it cannot be read.
    """
    try:
        header = read_header(path)
    except FormatError:
        return _with_verdict(None, pickles or pickles_of(path))
    found = found_of(header, identify(header, name=name or path.name))
    return _with_verdict(found, pickles or pickles_of(path, header))


def _with_verdict(found: Found | None, pickles: Pickles | None) -> Found | None:
    if pickles is None:
        return found
    return replace(
        found or Found(format=pickles.format.catalog_name),
        pickle_verdict=pickles.report.verdict.value,
        scanner=pickles.report.scanner,
        scan=report_json(pickles.report),
    )


def _header(path: Path, how: How) -> Header | None:
    if how is How.PART:
        return None
    if how is How.HEADER:
        return read_header(path)
    return read_model(path if how is How.WHOLE else path.parents[1])


def _as_seen(path: Path, job: Job) -> bool:
    try:
        now = os.stat(path)  # noqa: PTH116 (the quick one, for each of a million files)
    except OSError:
        return False
    return now.st_size == job.size and now.st_mtime_ns == job.mtime_ns


def _without_path(error: ModelhubError, path: Path) -> str:
    """The error's sentence; the file's name is shown beside it wherever it is shown."""
    return error.message.removeprefix(f"{path}: ").replace(str(path), path.name)


def _unforeseen(error: BaseException) -> str:
    """A reader should have refused it: the file is still one file of many."""
    return f"cannot be read: {type(error).__name__}: {error}"


def _found(one: _Read) -> tuple[Found | None, str | None]:
    header = one.header
    if header is None:
        return _with_verdict(None, one.pickles), one.fault
    try:
        identity = identify(header, name=one.path.name)
        found = _with_verdict(found_of(header, identity), one.pickles)
        return found, one.fault or _fault_of(header, one.path)
    except _UNFORESEEN as error:
        return _with_verdict(None, one.pickles), _unforeseen(error)


def _fault_of(header: Header, path: Path) -> str | None:
    if incomplete := [text for text in header.notices if INCOMPLETE in text]:
        return "; ".join(incomplete)
    if header.tensors:
        return None
    certain = path.suffix.lower() in (".safetensors", ".sft", ".ckpt", ".gguf")
    if header.format in _NEVER or (certain and header.format is FileFormat.UNKNOWN):
        return "; ".join(header.notices) or f"not a model: its content is {header.format}"
    return None


def found_of(header: Header, identity: Identity) -> Found:
    """What identification found, in the words of the catalog."""
    return Found(
        format=header.format.catalog_name,
        kind=None if identity.kind is None else identity.kind.value,
        adapter=identity.adapter,
        architecture=identity.architecture,
        edition=identity.edition,
        variants=identity.variants,
        family=identity.family,
        precision=identity.precision,
        parameters=identity.parameters,
        ema=identity.ema,
        pruned=identity.pruned,
        vae=identity.vae,
        guessed=not identity.guessed.isdisjoint(("kind", "architecture", "family")),
        trigger_words=identity.trigger_words,
        header=_document(header, identity),
    )


def _document(header: Header, identity: Identity) -> str:
    document = {
        "identity": identity,
        "metadata": _bounded(header.metadata),
        "parts": header.parts,
        "notices": header.notices,
    }
    try:
        return _encode(document).decode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can spell and UTF-8 cannot
        import json

        plain = msgspec.to_builtins(document)
        return json.dumps(plain, ensure_ascii=True)


def _bounded(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The metadata, without the longest values where all together are too much to keep."""
    total = sum(map(len, metadata)) + sum(map(len, metadata.values()))
    if total <= MOST_METADATA:
        return metadata
    kept = dict(metadata)
    for key in sorted(kept, key=lambda one: len(kept[one]), reverse=True):
        if total <= MOST_METADATA:
            break
        total -= len(key) + len(kept.pop(key))
    return kept
