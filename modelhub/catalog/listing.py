"""What a listing shows and searches of each model, gathered from all tables into one row.

Run at the end of every transaction that changed something a listing depends on, for the files
concerned. A shard or part of a model has no listing of its own: the model's first file has it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, select, update

from modelhub.catalog.batching import batches
from modelhub.catalog.describing import (
    FileView,
    Gathered,
    PublishedView,
    document_of,
    listing_of,
    worst_verdict,
)
from modelhub.catalog.fulltext.index import FullText
from modelhub.catalog.listingtables import listings
from modelhub.catalog.records import Found
from modelhub.catalog.rows import FileState
from modelhub.catalog.store import Writer
from modelhub.catalog.tables import (
    blob_tags,
    blobs,
    findings,
    local_files,
    models,
    notes,
    ratings,
    remote_files,
    tags,
    trigger_words,
    user_values,
    versions,
)

MOST_PUBLICATIONS = 20
"""Publications of one content whose names are indexed."""

_FOUND = msgspec.json.Decoder(Found)
_TEXTS = msgspec.json.Decoder(tuple[str, ...])


def refresh(
    writer: Writer, full_text: FullText, files: set[int], of_blobs: set[int], copied: set[int]
) -> None:
    """Make the listings of `files`, and of all files with the contents `of_blobs`, anew.

    :param copied: contents that have more files than before, of which the others are told.
    """
    connection = writer.connection
    wanted = files | _copied_first(connection, copied - of_blobs)
    for batch in batches(of_blobs):
        wanted.update(connection.scalars(_files_of(batch)))
    of_parts: set[int] = set()
    for batch in batches(wanted):
        of_parts |= _refresh(writer, full_text, batch)
    for batch in batches(of_parts - wanted):
        _refresh(writer, full_text, batch)
    for blob, number in _copies(connection, copied - of_blobs).items():
        connection.execute(
            update(listings)
            .where(listings.c.id.in_(_files_of([blob])), listings.c.copies != number)
            .values(copies=number)
        )


def _copied_first(connection: Connection, copied: set[int]) -> set[int]:
    """The files whose listings say that they are the only ones with one of these contents.

    That one has copies is indexed; how many there are is a number in its row. So the thousandth
    copy of a file does not have the words of all others indexed again.
    """
    found: set[int] = set()
    for batch in batches(copied):
        alone = listings.c.id.in_(_files_of(batch)) & (listings.c.copies <= 1)
        found.update(connection.scalars(select(listings.c.id).where(alone)))
    return found


def _files_of(of_blobs: Sequence[int]) -> Select[tuple[int]]:
    return select(local_files.c.id).where(local_files.c.blob_id.in_(of_blobs))


def _refresh(writer: Writer, full_text: FullText, ids: Sequence[int]) -> set[int]:
    """Make these listings anew; the models of which some are only parts."""
    connection = writer.connection
    rows = connection.execute(_FILES.where(local_files.c.id.in_(ids))).all()
    parts = [row.id for row in rows if row.part_of is not None]
    if parts:
        connection.execute(delete(listings).where(listings.c.id.in_(parts)))
    gathered = _gather(connection, [row for row in rows if row.part_of is None])
    if gathered:
        statement = writer.insert(listings)
        new = {
            column.name: statement.excluded[column.name]
            for column in listings.columns
            if column.name != "id"
        }
        connection.execute(
            statement.on_conflict_do_update(index_elements=[listings.c.id], set_=new),
            [listing_of(one) for one in gathered],
        )
        full_text.write(connection, [document_of(one) for one in gathered])
    return {row.part_of for row in rows if row.part_of is not None}


def _gather(connection: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Gathered]:
    of_blobs = [row.blob_id for row in rows if row.blob_id is not None]
    published = _by(connection, _PUBLISHED.where(remote_files.c.blob_id.in_(of_blobs)))
    tagged = _by(connection, _TAGS.where(blob_tags.c.blob_id.in_(of_blobs)))
    own = _by(connection, _OWN_WORDS.where(trigger_words.c.blob_id.in_(of_blobs)))
    values = _by(connection, _VALUES.where(user_values.c.blob_id.in_(of_blobs)))
    pulled_ids = {row.pulled_id for row in rows if row.pulled_id is not None}
    pulled = _by(connection, _PULLED.where(versions.c.id.in_(pulled_ids)))
    version_ids = pulled_ids | {one.version_id for some in published.values() for one in some}
    words = _by(connection, _WORDS.where(trigger_words.c.version_id.in_(version_ids)))
    copies = _copies(connection, of_blobs)
    parts = _by(connection, _PARTS.where(local_files.c.part_of.in_([row.id for row in rows])))
    of_parts = _by(connection, _PART_VERDICTS.where(local_files.c.part_of.in_(parts)))
    gathered = []
    for row in rows:
        found = published.get(row.blob_id, [])
        if row.pulled_id is not None:
            named = [one for one in found if one.version_id == row.pulled_id]
            named = named or pulled.get(row.pulled_id, [])
            found = named + [one for one in found if one.version_id != row.pulled_id]
        found = found[:MOST_PUBLICATIONS]
        gathered.append(
            Gathered(
                file=_view(row, parts.get(row.id, ()), of_parts.get(row.id, ())),
                publications=[_publication(one) for one in found],
                tags=[one.name for one in tagged.get(row.blob_id, [])],
                published_words=[
                    one.word
                    for publication in found
                    for one in words.get(publication.version_id, [])
                ],
                own_words=[one.word for one in own.get(row.blob_id, [])],
                values=[one.value for one in values.get(row.blob_id, [])],
                copies=copies.get(row.blob_id, 0),
            )
        )
    return gathered


def _view(
    row: Row[*tuple[Any, ...]],
    summed: Sequence[Row[*tuple[Any, ...]]],
    of_parts: Sequence[Row[*tuple[Any, ...]]],
) -> FileView:
    parts = next(iter(summed), None)
    return FileView(
        id=row.id,
        root_id=row.root_id,
        path=row.path,
        size=row.size + int(parts.size if parts else 0),
        state=row.state,
        added_at=row.added_at,
        found=found_of(row),
        fault=row.fault,
        parts=1 + (parts.number if parts else 0),
        parts_verdict=worst_verdict(map(part_verdict, of_parts)),
        blob_id=row.blob_id,
        used_at=row.used_at,
        note=row.note,
        rating=row.rating,
    )


def found_of(row: Row[*tuple[Any, ...]]) -> Found:
    """What identification found in the file of a row with :data:`FOUND_COLUMNS`: in the file as
    it is now, or else in the content that it had when it was hashed."""
    if row.finding is not None:
        return _FOUND.decode(row.finding)
    return Found(
        variants=decoded_texts(row.variants),
        trigger_words=decoded_texts(row.trained_words),
        guessed=bool(row.guessed),
        **{name: getattr(row, name) for name in _PLAIN_FACTS},
    )


def part_verdict(row: Row[*tuple[Any, ...]]) -> str | None:
    """The verdict on a part of a model, of a row with its `finding` and `pickle_verdict`."""
    if row.finding is not None:
        return _FOUND.decode(row.finding).pickle_verdict
    return str(row.pickle_verdict) if row.pickle_verdict is not None else None


def decoded_texts(text: str | None) -> tuple[str, ...]:
    """A JSON array of texts, as columns hold them."""
    return _TEXTS.decode(text) if text else ()


def _publication(row: Row[*tuple[Any, ...]]) -> PublishedView:
    return PublishedView(**{name: getattr(row, name) for name in PublishedView.__struct_fields__})


def _copies(connection: Connection, of_blobs: Collection[int]) -> dict[int, int]:
    """How many files of each content are on disk."""
    present = local_files.c.state != FileState.MISSING.value
    rows = connection.execute(
        select(local_files.c.blob_id, func.count())
        .where(local_files.c.blob_id.in_(of_blobs), present)
        .group_by(local_files.c.blob_id)
    )
    return {blob: number for blob, number in rows}  # noqa: C416 (rows are no pairs to mypy)


def _by(connection: Connection, statement: Any) -> dict[int, list[Row[*tuple[Any, ...]]]]:
    """The rows of `statement` by their first column."""
    found: dict[int, list[Row[*tuple[Any, ...]]]] = {}
    for row in connection.execute(statement):
        found.setdefault(row[0], []).append(row)
    return found


_PLAIN_FACTS = (
    "format", "kind", "adapter", "architecture", "edition", "family", "precision", "parameters",
    "ema", "pruned", "vae", "known_vae", "pickle_verdict",
)  # fmt: skip
FOUND_COLUMNS = (
    findings.c.facts.label("finding"),
    blobs.c.variants,
    blobs.c.trained_words,
    blobs.c.guessed,
    *(blobs.c[name] for name in _PLAIN_FACTS),
)
_FILES = (
    select(
        local_files.c.id,
        local_files.c.root_id,
        local_files.c.path,
        local_files.c.size,
        local_files.c.state,
        local_files.c.added_at,
        local_files.c.fault,
        local_files.c.part_of,
        local_files.c.version_id.label("pulled_id"),
        blobs.c.id.label("blob_id"),
        blobs.c.used_at,
        notes.c.text.label("note"),
        ratings.c.rating,
        *FOUND_COLUMNS,
    )
    .select_from(local_files)
    .outerjoin(blobs, blobs.c.id == local_files.c.blob_id)
    .outerjoin(findings, findings.c.file_id == local_files.c.id)
    .outerjoin(notes, notes.c.blob_id == blobs.c.id)
    .outerjoin(ratings, ratings.c.blob_id == blobs.c.id)
)
_PARTS = select(
    local_files.c.part_of,
    func.count().label("number"),
    func.sum(local_files.c.size).label("size"),
).group_by(local_files.c.part_of)
_PART_VERDICTS = (
    select(local_files.c.part_of, blobs.c.pickle_verdict, findings.c.facts.label("finding"))
    .select_from(local_files)
    .outerjoin(blobs, blobs.c.id == local_files.c.blob_id)
    .outerjoin(findings, findings.c.file_id == local_files.c.id)
)
_VERSION = (
    versions.c.id.label("version_id"),
    versions.c.name.label("version_name"),
    versions.c.base_model,
    models.c.id.label("model_id"),
    models.c.name.label("model_name"),
    models.c.type.label("model_type"),
    models.c.creator,
    models.c.nsfw,
    models.c.tags.label("model_tags"),
)
_FILE_FACTS = (
    remote_files.c.type.label("file_type"),
    remote_files.c.format.label("file_format"),
    remote_files.c.fp.label("file_fp"),
    remote_files.c.pickle_scan,
)
_PUBLISHED = (
    select(remote_files.c.blob_id, *_VERSION, *_FILE_FACTS)
    .join(versions, versions.c.id == remote_files.c.version_id)
    .join(models, models.c.id == versions.c.model_id)
    .order_by(versions.c.id, remote_files.c.id)
)
_PULLED = (
    select(versions.c.id, *_VERSION, *_FILE_FACTS)
    .select_from(versions)
    .join(models, models.c.id == versions.c.model_id)
    .outerjoin(remote_files, remote_files.c.id.is_(None))
)
_TAGS = (
    select(blob_tags.c.blob_id, tags.c.name)
    .join(tags, tags.c.id == blob_tags.c.tag_id)
    .order_by(tags.c.name)
)
_OWN_WORDS = select(trigger_words.c.blob_id, trigger_words.c.word).order_by(
    trigger_words.c.position
)
_VALUES = select(user_values.c.blob_id, user_values.c.value).order_by(user_values.c.name)
_WORDS = select(trigger_words.c.version_id, trigger_words.c.word).order_by(trigger_words.c.position)
