"""`missing`: files that the catalog knows and the disk does not, and ways to have them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from modelhub.catalog import FileState
from modelhub.services.listed import every_batch

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, FileRow, PublishedAs


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file that is gone.

    :param since: when it was first found to be gone; None where that was before it was noted.
    :param elsewhere: other files with the same content that are on disk, absolute.
    :param published: ``model, version`` as it was last known to be published; empty: it never was.
    :param gone_at: when Civitai was first seen not to have it any more.
    :param reference: what `pull` takes to fetch the very same file; empty where that is hopeless.
    """

    id: int
    path: str
    name: str
    size: int
    sha256: str | None
    since: datetime | None
    elsewhere: tuple[str, ...]
    published: str
    gone_at: datetime | None
    reference: str

    @property
    def command(self) -> str:
        """How to get it back, as typed; empty where there is no way."""
        return f"modelhub pull {self.reference}" if self.reference else ""


def missing(catalog: Catalog, query: str = "") -> list[MissingFile]:
    """The missing files that the query finds, by path.

    :raises QuerySyntaxError: the query has a mistake.
    """
    found: list[MissingFile] = []
    for rows in every_batch(catalog, f"{query} missing:yes".strip()):
        ids = [row.id for row in rows]
        published, since = catalog.published_as(ids), catalog.missing_since(ids)
        found += [
            _described(catalog, row, published.get(row.id, ()), since.get(row.id)) for row in rows
        ]
    return found


def forget(catalog: Catalog, files: Sequence[MissingFile]) -> int:
    """Drop missing files, with their missing parts, from the catalog; how many models these were.

    What the user wrote about them hangs on their contents and is kept.
    """
    ids: list[int] = []
    for one in files:
        gone = [part.id for part in catalog.show(one.id).parts if part.state is FileState.MISSING]
        ids += [one.id, *gone]
    catalog.forget(ids)
    return len(files)


def _described(
    catalog: Catalog, row: FileRow, published: Sequence[PublishedAs], since: datetime | None
) -> MissingFile:
    copies: tuple[str, ...] = ()
    if row.sha256 is not None and row.copies:
        same = catalog.find_local_by_sha256(row.sha256)
        copies = tuple(str(one.file) for one in same if one.state is not FileState.MISSING)
    there = [one for one in published if _gone_at(one) is None and one.model_mode is None]
    named = next(iter(there or published), None)
    return MissingFile(
        id=row.id,
        path=str(row.file),
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        since=since,
        elsewhere=copies,
        published=f"{named.model_name}, {named.version_name}" if named is not None else "",
        gone_at=None if there or named is None else _gone_at(named),
        reference=_reference(row, there),
    )


def _gone_at(one: PublishedAs) -> datetime | None:
    return one.version_gone_at or one.model_gone_at


def _reference(row: FileRow, there: Sequence[PublishedAs]) -> str:
    """The hash where this very content is published: a version may have several files."""
    if row.sha256 is not None and any(one.file_id is not None for one in there):
        return row.sha256
    return next((f"{one.model_id}@{one.version_id}" for one in there), "")
