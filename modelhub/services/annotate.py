"""What the user writes about files: tags, ratings, notes. It hangs on the content, not the name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelhub.errors import FileUnreadable, ModelhubError, UnknownFile

if TYPE_CHECKING:
    from threading import Event

    from modelhub.catalog import Catalog, FileRow
    from modelhub.progress import Listener

_LIKE_A_QUERY = re.compile(r"-?[a-z]+(:|[<>]=?)")


def chosen_files(catalog: Catalog, texts: Sequence[str], *, by_query: bool) -> list[FileRow]:
    """The files that `texts` mean: one file each, or one query made of all of them.

    :raises UnknownFile: one means no file, or the query finds none.
    :raises AmbiguousFile: one means several files.
    :raises QuerySyntaxError: the query has a mistake.
    """
    if not by_query:
        rows = [_resolved(catalog, text) for text in texts]
        return list({row.id: row for row in rows}.values())
    query = " ".join(texts)
    found = catalog.list_files(query, limit=None)
    if not found:
        raise UnknownFile(f"no file in the catalog matches {query!r}")
    return found


def _resolved(catalog: Catalog, text: str) -> FileRow:
    try:
        return catalog.resolve_file(text)
    except UnknownFile as error:
        if _LIKE_A_QUERY.match(text):
            raise UnknownFile(error.message, hint="put --query before it to search") from error
        raise


def hash_first(
    catalog: Catalog, rows: Sequence[FileRow], *, listener: Listener, cancel: Event
) -> list[ModelhubError]:
    """Hash those of `rows` that wait for it: what the user writes hangs on the content.

    :returns: why some of them could not be hashed; those cannot be written about yet.
    :raises Cancelled: `cancel` was set; what was hashed so far is recorded.
    """
    waiting = {row.file: row for row in rows if row.sha256 is None}
    if not waiting:
        return []
    from modelhub.catalog import BlobRecord
    from modelhub.services.hashing import FailedHash, hash_files

    failed: list[ModelhubError] = []
    for done in hash_files(list(waiting), listener=listener, cancel=cancel):
        if isinstance(done, FailedHash):
            failed.append(done.error)
            continue
        row = waiting[done.path]
        recorded = catalog.record_hashed(
            row.id,
            size=done.size,
            mtime_ns=done.mtime_ns,
            blob=BlobRecord.of(None, done.hashes, done.size),
            fault=row.fault,
        )
        if not recorded:
            hint = "`modelhub index` looks at it again"
            failed.append(FileUnreadable(f"{done.path} changed since it was indexed", hint=hint))
    return failed
