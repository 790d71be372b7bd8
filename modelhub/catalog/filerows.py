"""Listing rows: one statement that reads all that a listing shows of some files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, select

from modelhub.catalog.listingtables import listings
from modelhub.catalog.rows import FileRow, FileState
from modelhub.catalog.tables import blobs, local_files, roots
from modelhub.catalog.texts import SORT_KEY_OF_NOTHING

_TAGS = msgspec.json.Decoder(tuple[str, ...])
_AT_ONCE = 500

_ROWS = (
    select(
        local_files.c.id,
        roots.c.path.label("root"),
        local_files.c.path,
        listings.c.name,
        listings.c.size,
        local_files.c.mtime_ns,
        local_files.c.added_at,
        local_files.c.state,
        blobs.c.sha256,
        listings.c.type_key,
        listings.c.base,
        listings.c.architecture,
        listings.c.precision,
        listings.c.format,
        listings.c.ema,
        listings.c.vae,
        listings.c.unsafe,
        listings.c.nsfw,
        listings.c.rating,
        listings.c.tags,
        listings.c.creator,
        listings.c.model_id,
        listings.c.model_name,
        listings.c.version_id,
        listings.c.version_name,
        listings.c.copies,
        listings.c.used_at,
        listings.c.adapter,
        listings.c.edition,
        listings.c.variants,
        listings.c.family,
        listings.c.parameters,
        listings.c.pruned,
        listings.c.parts,
        local_files.c.fault,
        listings.c.guessed,
        listings.c.verdict,
    )
    .select_from(listings)
    .join(local_files, local_files.c.id == listings.c.id)
    .join(roots, roots.c.id == local_files.c.root_id)
    .outerjoin(blobs, blobs.c.id == local_files.c.blob_id)
)


def _file_row(row: Row[*tuple[Any, ...]]) -> FileRow:
    values = dict(row._mapping)
    kind = values.pop("type_key")
    values["type"] = None if kind == SORT_KEY_OF_NOTHING else kind
    values["state"] = FileState(values["state"])
    values["rating"] = values["rating"] or None
    values["tags"] = _TAGS.decode(values["tags"])
    values["variants"] = _TAGS.decode(values["variants"]) if values["variants"] else ()
    values["parts"] = values["parts"] or 1
    values["guessed"] = bool(values["guessed"])
    return FileRow(**values)


def rows_with_ids(connection: Connection, ids: Sequence[int]) -> list[FileRow]:
    """The rows of these files, in this order; those that are gone are left out."""
    found: dict[int, FileRow] = {}
    for part in _parts(ids):
        rows = connection.execute(_ROWS.where(listings.c.id.in_(part)))
        found.update((row.id, _file_row(row)) for row in rows)
    return [found[one] for one in ids if one in found]


def rows_where(
    connection: Connection, condition: ColumnElement[bool], *, limit: int | None = None
) -> list[FileRow]:
    """The rows of the files for which `condition` holds, in the order in which they were added."""
    statement = _ROWS.where(condition).order_by(listings.c.id)
    if limit is not None:
        statement = statement.limit(limit)
    return [_file_row(row) for row in connection.execute(statement)]


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(ids), _AT_ONCE):
        yield ids[at : at + _AT_ONCE]
