"""Sidecars of other tools, imported: the user's words kept, published facts believed when proven.

A claim of a sidecar is recorded when a SHA256 in it is that of the model beside, and when the
catalog does not know the version from Civitai itself. The user's words are what is left of a
sidecar without what its tool copied from Civitai; they are merged into the catalog, which
remembers what it took from where: importing again brings back nothing that the user removed.
Nothing is written beside the models.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelhub.errors import UnexpectedAnswer
from modelhub.placement.sidecars.read import (
    NotASidecar,
    Sidecar,
    Source,
    read_sidecar,
    sidecars_of,
)
from modelhub.placement.sidecars.read_words import Copied, Words, copied, joined_words, own_words
from modelhub.services.match.claims import Publication, publication_of

if TYPE_CHECKING:
    import threading

    from modelhub.catalog import Catalog, FileRow

_AT_ONCE = 200
"""Files whose sidecars are recorded in one transaction."""
_MOST_NOTICES = 1_000


@dataclass(slots=True)
class SidecarReport:
    """What sidecars gave; counts are of models."""

    files: int = 0
    """Models with sidecars."""
    words: int = 0
    """Those of which the user's words were new here."""
    described: int = 0
    """Those that a sidecar proved to be a published file."""
    unproven: int = 0
    """Those of which a sidecar names a version without a hash that proves it."""
    notices: list[str] = field(default_factory=list)
    """Sidecars that are damaged, or that describe another file."""

    def note(self, text: str) -> None:
        """Keep a sentence for the user, up to a bound."""
        if len(self.notices) < _MOST_NOTICES:
            self.notices.append(text)


@dataclass(frozen=True, slots=True)
class Read:
    """A model, and what its sidecars say."""

    row: FileRow
    sha256: str
    sidecars: tuple[Sidecar, ...]


@dataclass(frozen=True, slots=True)
class _News:
    """What the sidecars of a model say that may be new."""

    read: Read
    publications: tuple[Publication, ...]
    words: Words


def import_sidecars(
    files: Iterable[FileRow], *, catalog: Catalog, cancel: threading.Event | None = None
) -> SidecarReport:
    """Import what is beside these files; those that have not been hashed are left for later.

    Each folder is listed once, and a file without sidecars costs a few look-ups in that list.
    What was imported before, and is the same, changes nothing.

    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    report = SidecarReport()
    reads = readings(files, report)
    while cancel is None or not cancel.is_set():
        batch = list(islice(reads, _AT_ONCE))
        if not batch:
            break
        news = [_considered(catalog, read, report) for read in batch]
        with catalog.transaction():
            for one in news:
                _record(catalog, one, report)
    return report


def import_sidecars_beside(
    paths: Iterable[Path], *, catalog: Catalog, cancel: threading.Event | None = None
) -> SidecarReport:
    """The same for files by their paths, absolute, folder by folder: for those that were just
    hashed. The catalog is asked only about files that have sidecars.

    :raises CatalogError: the catalog is locked, read-only or damaged.
    """
    rows = (catalog.find_local_by_path(path) for path in _with_sidecars(paths))
    return import_sidecars((row for row in rows if row is not None), catalog=catalog, cancel=cancel)


def _with_sidecars(paths: Iterable[Path]) -> Iterator[Path]:
    folder: Path | None = None
    names: frozenset[str] = frozenset()
    for path in paths:
        if path.parent != folder:
            folder, names = path.parent, _names_in(path.parent)
        if sidecars_of(names, path.name):
            yield path


def readings(files: Iterable[FileRow], report: SidecarReport) -> Iterator[Read]:
    """What stands beside the files, read."""
    folder: Path | None = None
    names: frozenset[str] = frozenset()
    for row in files:
        if row.sha256 is None:
            continue
        file = row.file
        if file.parent != folder:
            folder, names = file.parent, _names_in(file.parent)
        beside = sidecars_of(names, file.name)
        if beside:
            report.files += 1
            read = tuple(_read(file.parent, beside.sidecars, report))
            if read:
                yield Read(row, row.sha256, read)


def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 -- names, and many of them
    except OSError:
        return frozenset()


def _read(folder: Path, names: Mapping[Source, str], report: SidecarReport) -> Iterator[Sidecar]:
    for source, name in names.items():
        path = folder / name
        try:
            yield read_sidecar(path, source)
        except NotASidecar as why:
            report.note(f"{path} {why}; it was left alone")


def _considered(catalog: Catalog, read: Read, report: SidecarReport) -> _News:
    """What is to be recorded; asked before the transaction, in which each question costs more."""
    return _News(read, _proven(catalog, read, report), _own(catalog, read))


def _record(catalog: Catalog, news: _News, report: SidecarReport) -> None:
    for publication in news.publications:
        publication.record(catalog)
    report.described += bool(news.publications)
    words = news.words
    if words and catalog.import_user_words(
        news.read.sha256,
        note=words.note or None,
        trigger_words=words.trigger_words,
        tags=words.tags,
        values=words.values,
        # By its name: it stays the same when the file is moved, and differs between most copies.
        source=f"sidecars {news.read.row.file.name}",
    ):
        report.words += 1


def _proven(catalog: Catalog, read: Read, report: SidecarReport) -> tuple[Publication, ...]:
    """What the sidecars prove and the catalog does not know; what they do not prove is noted."""
    found: dict[int, Publication] = {}
    proven, unproven = False, False
    for sidecar in read.sidecars:
        claim = sidecar.claim
        if claim is None:
            continue
        if not claim.sha256s:
            unproven = True
        elif read.sha256 not in claim.sha256s:
            report.note(
                f"{sidecar.path} describes version {claim.version_id}, and none of its files is "
                f"{read.row.file.name}: that was not believed"
            )
        else:
            try:
                publication = publication_of(catalog, claim, read.sha256, sidecar.written_at)
                proven = True
            except UnexpectedAnswer as error:
                report.note(f"{error.message}: {sidecar.path} was left alone")
                continue
            if publication is not None:
                found.setdefault(publication.version.id, publication)
    report.unproven += unproven and not proven
    return tuple(found.values())


def _own(catalog: Catalog, read: Read) -> Words:
    """What the user wrote in the sidecars: not what their tools copied from Civitai."""
    published = published_words(catalog, read)
    return joined_words(own_words(sidecar.words, published) for sidecar in read.sidecars)


def published_words(catalog: Catalog, read: Read) -> Copied:
    """What Civitai says of the model, by the catalog and the sidecars.

    LoRA Manager lets people edit Civitai's words where it keeps them, so its own are the last
    resort.
    """
    versions: list[Mapping[str, Any]] = []
    models: list[Mapping[str, Any]] = []
    row = read.row
    if row.version_id is not None and row.model_id is not None:
        versions.append(_answer(catalog.raw_answer(version_id=row.version_id)))
        models.append(_answer(catalog.raw_answer(model_id=row.model_id)))
    claims = [(one.source, one.claim.version) for one in read.sidecars if one.claim is not None]
    versions += [version for source, version in claims if source is not Source.LORA_MANAGER]
    if any(versions):
        return copied(versions, models, is_independent=True)
    return copied((version for _, version in claims), models)


def _answer(found: tuple[str, object] | None) -> Mapping[str, Any]:
    """An answer as the catalog kept it; empty where there is none."""
    try:
        value = msgspec.json.decode(found[0]) if found is not None else {}
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}
    return value if isinstance(value, dict) else {}
