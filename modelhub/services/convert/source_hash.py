"""The SHA256 of what a conversion reads: known already, or computed while the result is written.

A result names its source by hash, in its header, which comes before its data. To read a source
first and convert it then would read it twice; so a thread hashes it, from pages that the writer has
just read or is about to, and the writer fills the hash in last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from modelhub.convert.plan.metadata import ORIGIN, SOURCE
from modelhub.errors import Cancelled, FileUnreadable
from modelhub.formats.hashes import hash_file
from modelhub.formats.reading import require_regular

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.convert.planning import Plan

UNKNOWN = "0" * 64
"""Holds the place of a hash in a header until it is known."""
OTHERS: Final = "modelhub.with_sha256"
"""SHA256 of the other files that went into a result, in lower-case hex, with spaces between."""


def known_sha256(catalog: Catalog, path: Path) -> str | None:
    """The hash that the catalog has of a file, if the file is as it was when it was hashed."""
    from modelhub.catalog import FileState

    row = catalog.find_local_by_path(path)
    if row is None or row.state is not FileState.HASHED or row.file.name != path.name:
        return None
    status = require_regular(path)
    same = (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns)
    return row.sha256 if same and row.parts == 1 else None


class SourceHash:
    """The hash of one model, waited for when it is needed; stopped when the block ends.

    Of a model in several files it is the SHA256 of what ``sha256sum`` prints of them: a line
    ``<hash>  <name>`` for each, in the order of their names.

    :param known: where it need not be computed.
    """

    def __init__(self, files: Sequence[Path], *, folder: Path, known: str | None = None) -> None:
        self._files, self._folder = sorted(files), folder
        self._value = known
        self._error: Exception | None = None
        self._stop = Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def known(self) -> str | None:
        """The hash, if it is known by now."""
        return self._value

    def start(self) -> None:
        """Begin to hash, where that is needed and has not begun."""
        if self._value is None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="source-hash", daemon=True)
            self._thread.start()

    def value(self, cancel: Event) -> str:
        """The hash, upper-case; waits until it is known.

        :raises Cancelled: `cancel` was set meanwhile.
        :raises FileUnreadable: a file cannot be read.
        """
        self.start()
        thread = self._thread
        while thread is not None and thread.is_alive():
            thread.join(0.05)
            if cancel.is_set():
                raise Cancelled("stopped while the source was hashed")
        if self._error is not None:
            raise self._error
        if self._value is None:
            raise Cancelled("stopped while the source was hashed")
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._computed()
        except Cancelled:
            return
        except OSError as error:
            self._error = FileUnreadable(f"cannot read {error.filename}: {error.strerror}")
        except Exception as error:
            self._error = error

    def _computed(self) -> str:
        hashes = []
        for path in self._files:
            require_regular(path)
            hashes.append(hash_file(path, {"sha256"}, cancel=self._stop).sha256)
        if len(hashes) == 1:
            return hashes[0]
        whole = hashlib.sha256()
        for path, one in zip(self._files, hashes, strict=True):
            name = path.relative_to(self._folder).as_posix()
            whole.update(f"{one.lower()}  {name}\n".encode(errors="surrogateescape"))
        return whole.hexdigest().upper()


class SourceHashes:
    """The hashes of all that goes into a result, the source's first, and what is said of them."""

    def __init__(self, hashes: Sequence[SourceHash]) -> None:
        self._hashes = tuple(hashes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for one in self._hashes:
            one.__exit__(kind, error, traceback)

    def start(self) -> None:
        """Begin to hash what has to be."""
        for one in self._hashes:
            one.start()

    def values(self, cancel: Event) -> tuple[str, ...]:
        """All of them, upper-case; waits until they are known.

        :raises Cancelled, FileUnreadable: as :meth:`SourceHash.value`.
        """
        return tuple(one.value(cancel) for one in self._hashes)

    @property
    def shown(self) -> tuple[str, ...]:
        """As metadata hold them, lower-case; noughts in the places of those not known yet."""
        return tuple((one.known or UNKNOWN).lower() for one in self._hashes)

    def named_in(self, plan: Plan) -> Plan:
        """The plan with the other files' hashes in its metadata, too."""
        others = self.shown[1:]
        if not others:
            return plan
        return dataclasses.replace(plan, metadata={**plan.metadata, OTHERS: " ".join(others)})

    def provenance(self, cancel: Event) -> dict[str, str]:
        """The metadata that name what a result was made from.

        :raises Cancelled, FileUnreadable: as :meth:`SourceHash.value`.
        """
        source, *others = (one.lower() for one in self.values(cancel))
        return {SOURCE: source, **({OTHERS: " ".join(others)} if others else {})}

    def late_metadata(self, plan: Plan, cancel: Event) -> dict[str, str]:
        """The same for a plan that was made before they were known: all that it left open."""
        found = self.provenance(cancel)
        if plan.metadata.get(ORIGIN) == UNKNOWN:
            found[ORIGIN] = found[SOURCE]
        return found
