"""The catalog as the services see it: one object, its methods grouped by what they are for.

Each method is one short transaction, unless it is called inside :meth:`Catalog.transaction`. What
only some commands need is imported when it is first called, so that opening and listing stay fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from modelhub.catalog.base import Selection
from modelhub.catalog.indexmethods import IndexMethods
from modelhub.catalog.keepmethods import KeepMethods
from modelhub.catalog.rendermethods import RenderMethods
from modelhub.catalog.store import open_store
from modelhub.config.mounts import use_mounts

if TYPE_CHECKING:
    from modelhub.catalog.records import (
        BlobRecord,
        EventRecord,
        LocalFileRecord,
        ModelRecord,
        RemoteFileRecord,
        VersionRecord,
    )
    from modelhub.catalog.rows import FileRow
    from modelhub.catalog.search.completions import Completion
    from modelhub.catalog.showing import Changed, CheckReport, EventRow, FileDetails
    from modelhub.catalog.sorting import Sort
    from modelhub.config import Config


def open_catalog(
    config: Config, *, create: bool = True, clock: Callable[[], datetime] | None = None
) -> Catalog:
    """The catalog that the settings name, brought to this program's revision.

    :param create: make it where there is none; else :class:`CatalogError` is raised.
    :param clock: what time it is, aware; for tests.
    :raises CatalogLocked: another process held it longer than ``catalog.busy_timeout``.
    :raises CatalogReadOnly: it needs an upgrade, or to be created, and cannot be written to.
    :raises CatalogCorrupt: the file is damaged or is no catalog.
    :raises CatalogTooNew: a newer modelhub wrote it; it is left untouched.
    :raises CatalogUnreachable: the database server does not answer or refuses.
    """
    use_mounts(config.team.mounts)
    return Catalog(open_store(config, create=create), clock=clock)


class Catalog(IndexMethods, KeepMethods, RenderMethods):
    """An open catalog. Safe to use from several threads; a context manager that closes it.

    Its groups of methods: what is published, recorded, written by the user and asked for here;
    roots, scans and hashing in :mod:`modelhub.catalog.indexmethods`; matching, verifying,
    duplicates, and carrying the user's words in and out in :mod:`modelhub.catalog.keepmethods`;
    test images in :mod:`modelhub.catalog.rendermethods`.
    """

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back all connections; the catalog cannot be used any more."""
        self._store.close()

    @property
    def database(self) -> str:
        """Which database it is, fit to be shown: a path, or a URL without its password."""
        return self._store.shown

    @property
    def path(self) -> Path | None:
        """The file of an SQLite catalog, None for a server."""
        return self._store.path

    @property
    def read_only(self) -> bool:
        """Whether the file or its folder cannot be written to: reading works, changing raises."""
        return self._store.read_only

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the calls of this thread inside the block one transaction: all or none of them.

        For recording many files at once. Keep it short: nobody else can write meanwhile.

        :raises CatalogLocked: another process is writing for too long.
        :raises CatalogReadOnly: the catalog cannot be written to.
        """
        with self._store.write():
            yield

    # Published facts

    def record_published(
        self,
        model: ModelRecord,
        versions: Iterable[VersionRecord] = (),
        files: Iterable[RemoteFileRecord] = (),
    ) -> None:
        """Record what Civitai says of a model, its versions and their files.

        Idempotent. What is not among `versions` and `files` stays as it was. A file whose SHA256
        or BLAKE3 is that of a known blob is linked to it.
        """
        from modelhub.catalog import publishing

        publishing.record_published(self._store, model, tuple(versions), tuple(files))

    def record_gone(self, *, model_id: int | None = None, version_id: int | None = None) -> None:
        """Record that Civitai has the model or version no more; everything known stays."""
        from modelhub.catalog import publishing

        publishing.record_gone(self._store, self._clock(), model_id, version_id)

    def raw_answer(
        self, *, model_id: int | None = None, version_id: int | None = None
    ) -> tuple[str, datetime] | None:
        """The JSON text that Civitai last gave for the model or version, and when; or None."""
        from modelhub.catalog import publishing

        return publishing.raw_answer(self._store, model_id, version_id)

    def known_versions(self, model_id: int) -> list[int]:
        """The ids of the versions of a model that the catalog knows, newest first."""
        from modelhub.catalog import publishing

        return publishing.known_versions(self._store, model_id)

    # Local files

    def record_local_file(
        self,
        file: LocalFileRecord,
        *,
        blob: BlobRecord | None = None,
        remote_file_id: int | None = None,
        version_id: int | None = None,
    ) -> int:
        """Record a file on this disk, new or known, and return its id.

        :param blob: its content, once hashed. None keeps what is known as long as size and mtime
            are unchanged; else the file becomes ``changed``.
        :param remote_file_id: the published file that it was pulled as: linked to the blob even
            when Civitai published no hash.
        :param version_id: the version that it was pulled from; listings name it.
        """
        from modelhub.catalog import recording

        return recording.record_local_file(
            self._store, self._clock(), file, blob, remote_file_id, version_id
        )

    def record_blob(self, blob: BlobRecord) -> None:
        """Record what was found out about a content later: identification, more hashes."""
        from modelhub.catalog import recording

        recording.record_blob(self._store, self._clock(), blob)

    def forget(self, file_ids: Iterable[int]) -> None:
        """Drop files from the catalog. Their blobs, and what the user wrote on them, are kept."""
        from modelhub.catalog import recording

        recording.forget(self._store, tuple(file_ids))

    def record_event(self, event: EventRecord) -> int:
        """Append to the history; return the event's id."""
        from modelhub.catalog import history

        return history.record_event(self._store, self._clock(), event)

    def events(
        self, *, limit: int = 100, before: int | None = None, kinds: Iterable[str] = ()
    ) -> list[EventRow]:
        """The history, the latest first; `before` is an event's id, to page on."""
        from modelhub.catalog import history

        return history.list_events(self._store, limit, before, tuple(kinds))

    def event(self, event_id: int) -> EventRow | None:
        """One event of the history, or None."""
        from modelhub.catalog import history

        return history.event(self._store, event_id)

    # The user's own

    def tag(self, files: Selection, tags: Iterable[str]) -> Changed:
        """Put tags on the contents of the files.

        Tags are compared without regard to case and Unicode form: see
        :func:`modelhub.catalog.userdata.normalised_tag`.

        :raises UsageError: a tag is empty, too long or holds control characters.
        :raises QuerySyntaxError: `files` is a query with a mistake.
        """
        from modelhub.catalog import userdata

        return userdata.tag(self._store, self._clock(), self._ids(files), tuple(tags))

    def untag(self, files: Selection, tags: Iterable[str]) -> Changed:
        """Take tags off the contents of the files. Raises as :meth:`tag` does."""
        from modelhub.catalog import userdata

        return userdata.untag(self._store, self._clock(), self._ids(files), tuple(tags))

    def rate(self, files: Selection, rating: int | None) -> Changed:
        """Rate the contents of the files from 1 to 5; None takes the rating off.

        :raises UsageError: the rating is none of these.
        """
        from modelhub.catalog import userdata

        return userdata.rate(self._store, self._clock(), self._ids(files), rating)

    def note(self, files: Selection, text: str | None) -> Changed:
        """Set the note of the contents of the files; None or an empty text removes it.

        :raises UsageError: the text is longer than 100,000 characters.
        """
        from modelhub.catalog import userdata

        return userdata.note(self._store, self._clock(), self._ids(files), text)

    def set_trigger_words(self, files: Selection, words: Iterable[str]) -> Changed:
        """Set the user's own trigger words; the published ones are kept apart and stay."""
        from modelhub.catalog import userdata

        return userdata.set_trigger_words(
            self._store, self._clock(), self._ids(files), tuple(words)
        )

    def tags(self, prefix: str = "", *, limit: int = 100) -> list[tuple[str, int]]:
        """The user's tags that start so, with the number of contents they are on, most first."""
        from modelhub.catalog import userdata

        return userdata.tags(self._store, prefix, limit)

    # Asking

    def list_files(
        self,
        query: str = "",
        *,
        sort: Sort | None = None,
        limit: int | None = 50,
        offset: int = 0,
    ) -> list[FileRow]:
        """The files that a query of the search language finds.

        :param sort: None: by relevance when the query holds text words, else by name.
        :raises QuerySyntaxError: the query has a mistake.
        """
        from modelhub.catalog import queries

        return queries.list_files(
            self._store, query, sort=sort, limit=limit, offset=offset, now=self._clock()
        )

    def count(self, query: str = "") -> int:
        """How many files the query finds."""
        from modelhub.catalog import queries

        return queries.count(self._store, query, now=self._clock())

    def rows(self, file_ids: Sequence[int]) -> list[FileRow]:
        """These files, in this order; those that the catalog does not know are left out."""
        from modelhub.catalog import queries

        return queries.rows(self._store, file_ids)

    def find_ids(self, query: str = "") -> tuple[int, ...]:
        """The ids of all files that the query finds.

        :raises QuerySyntaxError: the query has a mistake.
        """
        return self._ids(query)

    def newer_of(self, file_ids: Sequence[int]) -> dict[int, int]:
        """Those of the files for which the catalog knows a newer version (``update:yes``), with
        the id of the newest one."""
        from modelhub.catalog import newer

        return newer.newer_of(self._store, file_ids)

    def totals(self) -> tuple[int, int]:
        """How many models are on disk, and their bytes; what is missing does not count."""
        from modelhub.catalog import queries

        return queries.totals(self._store)

    def facets(self, key: str, query: str = "", *, limit: int = 50) -> list[tuple[str, int]]:
        """The values of one kind among the found files, with counts, most first.

        :param key: ``type``, ``base``, ``rating``, ``format`` or ``fp``.
        :raises UsageError: `key` is none of these.
        """
        from modelhub.catalog import queries

        return queries.facets(self._store, key, query, limit=limit, now=self._clock())

    def show(self, file_id: int) -> FileDetails:
        """Everything known about one file.

        :raises UnknownFile: there is no such file.
        """
        from modelhub.catalog import details

        return details.show(self._store, file_id)

    def resolve_file(self, text: str) -> FileRow:
        """The file that a person means.

        Tried in this order: a path (absolute, relative to the working folder, or to a root), a
        file's id as ``#12``, a SHA256 or AutoV2 or its first digits (8 at least), a version's id
        (or ``model@version``), a file name, the start of a file name.

        :raises UnknownFile: none fits.
        :raises AmbiguousFile: several fit; the message names some.
        """
        from modelhub.catalog import lookup

        return lookup.resolve_file(self._store, text)

    def find_local_by_sha256(self, sha256: str) -> list[FileRow]:
        """The files with this content, those that are on disk first."""
        from modelhub.catalog import lookup

        return lookup.find_local_by_sha256(self._store, sha256)

    def find_local_by_path(self, path: Path) -> FileRow | None:
        """The file at an absolute path, in whichever root."""
        from modelhub.catalog import lookup

        return lookup.find_local_by_path(self._store, path)

    def find_local_by_version(self, version_id: int) -> list[FileRow]:
        """The files that are publications of a version."""
        from modelhub.catalog import lookup

        return lookup.find_local_by_version(self._store, version_id)

    def completions(self, text: str, cursor: int | None = None) -> list[Completion]:
        """How a query could go on at the cursor: fields, values, the user's tags."""
        from modelhub.catalog.search.completions import completions

        def values(field: str, prefix: str) -> Iterable[str]:
            return [name for name, _ in self.tags(prefix, limit=20)] if field == "tag" else ()

        return completions(text, len(text) if cursor is None else cursor, values)

    def check(self, *, thorough: bool = False) -> CheckReport:
        """What `doctor` says of the catalog; `thorough` reads the full-text index as well."""
        from modelhub.catalog.check import check

        return check(self._store, thorough=thorough)
