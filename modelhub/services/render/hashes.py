"""The hashes of all files of a run: known to the catalog, or computed while the worker starts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from modelhub.catalog import BlobRecord, FileState
from modelhub.errors import (
    Cancelled,
    CatalogError,
    FileUnreadable,
    ModelhubError,
    SourceChanged,
)
from modelhub.formats.hashes import ContentHashes, hash_file
from modelhub.formats.reading import require_regular
from modelhub.services.index.contents import found_of
from modelhub.services.render.files import ModelFile

if TYPE_CHECKING:
    import os

    from modelhub.catalog import Catalog

_LOOK_AT_CANCEL = 0.05
_LARGEST_FOLDER = 256 << 20


@dataclass(frozen=True, slots=True)
class FileHash:
    """What names a content.

    :param autov3: of a safetensors file; empty where there is none.
    """

    sha256: str
    size: int
    autov3: str = ""


class FileHashes:
    """Hashes of files, each read once, on a thread of its own; stopped when the block ends."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[Path, FileHash] = {}
        self._errors: dict[Path, ModelhubError] = {}
        self._asked: dict[Path, tuple[ModelFile, os.stat_result]] = {}
        self._computed: dict[Path, ContentHashes] = {}
        self._stop = Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FileHashes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def begin(self, files: Iterable[ModelFile]) -> None:
        """Hash what is not known yet; returns at once.

        :raises FileUnreadable: one is gone.
        """
        wanted = []
        for one in files:
            if one.path in self._asked:
                continue
            status = require_regular(one.path)
            self._asked[one.path] = (one, status)
            known = known_hash(one, status)
            if known is not None:
                self._known[one.path] = known
            else:
                wanted.append(one.path)
        if wanted:
            thread = threading.Thread(
                target=self._hash, args=(wanted,), name="render-hashes", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def of(self, path: Path, cancel: Event) -> FileHash:
        """The hash of a file, once it is known; the catalog knows the content from then on.

        :raises SourceChanged: it is another file by now.
        :raises FileUnreadable: it could not be read.
        :raises Cancelled: `cancel` was set.
        """
        one, before = self._asked[path]
        while not self._is_done(path):
            if cancel.wait(_LOOK_AT_CANCEL):
                raise Cancelled("stopped while a file was hashed")
        if path in self._errors:
            raise self._errors[path]
        if not same_file(before, require_regular(path)):
            raise SourceChanged(
                f"{path} changed while it was rendered",
                hint="render it again once nothing writes to it; the picture was not kept",
            )
        if path in self._computed:
            hashes = self._computed.pop(path)
            # What the catalog cannot take now is told when the picture is recorded.
            with suppress(CatalogError):
                self._record(one, before, hashes)
            self._known[path] = FileHash(hashes.sha256, before.st_size, hashes.autov3 or "")
        return self._known[path]

    def _is_done(self, path: Path) -> bool:
        return path in self._known or path in self._computed or path in self._errors

    def _hash(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                self._computed[path] = hash_file(path, cancel=self._stop)
            except OSError as error:
                self._errors[path] = FileUnreadable(f"cannot read {path}: {error.strerror}")
            except ModelhubError as error:
                self._errors[path] = error

    def _record(self, one: ModelFile, status: os.stat_result, hashes: ContentHashes) -> None:
        blob = BlobRecord.of(found_of(one.header, one.identity), hashes, status.st_size)
        row = None if one.details is None else one.details.row
        recorded = row is not None and self._catalog.record_hashed(
            row.id, size=status.st_size, mtime_ns=status.st_mtime_ns, blob=blob, fault=row.fault
        )
        if not recorded:
            self._catalog.record_blob(blob)


def known_hash(one: ModelFile, status: os.stat_result) -> FileHash | None:
    """What the catalog has of a file, if it is as it was when it was hashed."""
    details = one.details
    if details is None or details.row.state is not FileState.HASHED:
        return None
    row = details.row
    if row.sha256 is None:
        return None
    if (row.size, row.mtime_ns) != (status.st_size, status.st_mtime_ns):
        return None
    return FileHash(row.sha256, row.size, details.hashes.get("AutoV3", ""))


def is_tokenizer(part: Path) -> bool:
    """Whether a part of a recipe is no model: a folder, or a ``tokenizer.json``."""
    return part.suffix == ".json" or part.is_dir()


def tokenizer_hash(place: Path) -> FileHash:
    """The hash of a file, or of all files in a folder: the SHA256 of what ``sha256sum`` prints.

    :raises FileUnreadable: it cannot be read, or has files that are too large for a tokenizer.
    """
    whole, size = hashlib.sha256(), 0
    try:
        if not place.is_dir():
            size = require_regular(place).st_size
            if size > _LARGEST_FOLDER:
                raise FileUnreadable(f"{place} is too large for a tokenizer")
            return FileHash(hashlib.sha256(place.read_bytes()).hexdigest().upper(), size)
        for path in sorted(one for one in place.rglob("*") if one.is_file()):
            size += require_regular(path).st_size
            if size > _LARGEST_FOLDER:
                raise FileUnreadable(f"{place} is too large for a tokenizer")
            one = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{one}  {path.relative_to(place).as_posix()}\n".encode(errors="replace"))
    except OSError as error:
        raise FileUnreadable(f"cannot read {place}: {error.strerror}") from error
    return FileHash(whole.hexdigest().upper(), size)


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing was written between two looks at a file."""
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )
