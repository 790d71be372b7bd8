"""Everything known about one file, for `show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from modelhub.catalog import derivations, rendering
from modelhub.catalog.describing import published_tags
from modelhub.catalog.filerows import rows_where
from modelhub.catalog.history import events_of
from modelhub.catalog.listing import FOUND_COLUMNS, found_of, part_verdict
from modelhub.catalog.rows import FileRow, FileState
from modelhub.catalog.showing import EventRow, FileDetails, Part, PreviewRow, Publication
from modelhub.catalog.store import Store
from modelhub.catalog.tables import (
    blob_headers,
    blobs,
    events,
    findings,
    local_files,
    models,
    notes,
    previews,
    remote_files,
    scans,
    trigger_words,
    user_values,
    versions,
)
from modelhub.catalog.texts import decoded
from modelhub.errors import UnknownFile

MOST_EVENTS = 100
MOST_PREVIEWS = 100
MOST_PARTS = 1_000


def show(store: Store, file_id: int) -> FileDetails:
    """See :meth:`modelhub.catalog.Catalog.show`."""
    with store.read() as connection:
        rows = rows_where(connection, local_files.c.id == file_id)
        if not rows:
            raise UnknownFile(f"the catalog knows no file #{file_id}")
        row = rows[0]
        file = connection.execute(_FILE.where(local_files.c.id == file_id)).one()
        blob = connection.execute(select(blobs).where(blobs.c.id == file.blob_id)).first()
        number = file.blob_id
        found = found_of(file)
        header = _header(connection, file)
        publications = _publications(connection, number, row)
        version_ids = list(dict.fromkeys(one.version_id for one in publications))
        copies = rows_where(connection, local_files.c.blob_id == number, limit=MOST_EVENTS)
        return FileDetails(
            row=row,
            hashes=hashes_of(blob),
            parameters=found.parameters,
            pickle_verdict=found.pickle_verdict,
            scan=_scan(connection, file),
            header=header,
            identity=_identity(header),
            known_vae=found.known_vae,
            note=connection.scalar(select(notes.c.text).where(notes.c.blob_id == number)),
            trigger_words=_words(connection, trigger_words.c.version_id, version_ids),
            own_trigger_words=_words(connection, trigger_words.c.blob_id, [number]),
            trained_words=found.trigger_words,
            user_values=_values(connection, number),
            parts=_parts(connection, file_id),
            asked_at=file.asked_at,
            verified_at=file.verified_at,
            verify_ok=file.verify_ok,
            publications=publications,
            previews=_previews(connection, version_ids),
            renders=rendering.renders_of(connection, number),
            events=_events(connection, row),
            copies=tuple(one for one in copies if one.id != file_id),
            made_from=derivations.made_from(connection, number),
            made_into=derivations.made_into(connection, row.sha256),
        )


_FILE = (
    select(
        local_files.c.id,
        local_files.c.blob_id,
        local_files.c.verified_at,
        local_files.c.verify_ok,
        blobs.c.asked_at,
        findings.c.header,
        findings.c.scan,
        *FOUND_COLUMNS,
    )
    .select_from(local_files)
    .outerjoin(blobs, blobs.c.id == local_files.c.blob_id)
    .outerjoin(findings, findings.c.file_id == local_files.c.id)
)


def _header(connection: Connection, file: Row[*tuple[Any, ...]]) -> Any:
    """Of the file as it is now, or else of the content that it had when it was hashed."""
    if file.finding is not None:
        return decoded(file.header)
    which = blob_headers.c.blob_id == file.blob_id
    return decoded(connection.scalar(select(blob_headers.c.header).where(which)))


def _scan(connection: Connection, file: Row[*tuple[Any, ...]]) -> Any:
    """The report on the pickles, as :func:`_header` has the header."""
    if file.finding is not None:
        return decoded(file.scan)
    which = scans.c.blob_id == file.blob_id
    return decoded(connection.scalar(select(scans.c.report).where(which)))


def _identity(header: Any) -> Mapping[str, Any] | None:
    found = header.get("identity") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else None


def _values(connection: Connection, blob_id: int | None) -> dict[str, str]:
    rows = connection.execute(
        select(user_values.c.name, user_values.c.value)
        .where(user_values.c.blob_id == blob_id)
        .order_by(user_values.c.name)
    )
    return {row.name: row.value for row in rows}


def _parts(connection: Connection, file_id: int) -> tuple[Part, ...]:
    columns = local_files.c
    rows = connection.execute(
        select(
            columns.id, columns.path, columns.size, columns.state, blobs.c.sha256, columns.fault,
            blobs.c.pickle_verdict, findings.c.facts.label("finding"),
        )
        .select_from(local_files)
        .outerjoin(blobs, blobs.c.id == columns.blob_id)
        .outerjoin(findings, findings.c.file_id == columns.id)
        .where(columns.part_of == file_id)
        .order_by(columns.path)
        .limit(MOST_PARTS)
    )  # fmt: skip
    return tuple(
        Part(
            id=row.id,
            path=row.path,
            size=row.size,
            state=FileState(row.state),
            sha256=row.sha256,
            fault=row.fault,
            verdict=part_verdict(row),
        )
        for row in rows
    )


def hashes_of(blob: Row[*tuple[Any, ...]] | None) -> dict[str, str]:
    """The hashes of a row of ``blobs``, by name."""
    if blob is None:
        return {}
    found = {
        "SHA256": blob.sha256,
        "AutoV2": blob.sha256[:10],
        "BLAKE3": blob.blake3,
        "CRC32": blob.crc32,
        "AutoV1": blob.autov1,
        "AutoV3": blob.autov3,
    }
    return {name: value for name, value in found.items() if value}


def _words(connection: Connection, column: Any, ids: Sequence[int | None]) -> tuple[str, ...]:
    rows = connection.execute(
        select(trigger_words.c.word)
        .where(column.in_(ids))
        .order_by(column, trigger_words.c.position)
    )
    return tuple(dict.fromkeys(row.word for row in rows))


_PUBLISHED = (
    select(
        models.c.id.label("model_id"),
        models.c.name.label("model_name"),
        models.c.type.label("model_type"),
        models.c.creator,
        models.c.tags.label("model_tags"),
        models.c.gone_at.label("model_gone_at"),
        versions.c.id.label("version_id"),
        versions.c.name.label("version_name"),
        versions.c.base_model,
        versions.c.published_at,
        versions.c.air,
        versions.c.gone_at.label("version_gone_at"),
        remote_files.c.id.label("remote_file_id"),
        remote_files.c.name.label("remote_name"),
        remote_files.c.is_primary,
    )
    .select_from(remote_files)
    .join(versions, versions.c.id == remote_files.c.version_id)
    .join(models, models.c.id == versions.c.model_id)
    .order_by(versions.c.id, remote_files.c.id)
)


def _publications(
    connection: Connection, blob_id: int | None, listed: FileRow
) -> tuple[Publication, ...]:
    rows = connection.execute(_PUBLISHED.where(remote_files.c.blob_id == blob_id)).all()
    found = [
        Publication(
            model_id=row.model_id,
            model_name=row.model_name,
            model_type=row.model_type,
            creator=row.creator,
            version_id=row.version_id,
            version_name=row.version_name,
            base_model=row.base_model,
            published_at=row.published_at,
            air=row.air,
            remote_file_id=row.remote_file_id,
            remote_name=row.remote_name,
            primary=row.is_primary,
            published_tags=tuple(published_tags([row])),
            gone_at=row.version_gone_at or row.model_gone_at,
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda one: one.version_id != listed.version_id))


def _previews(connection: Connection, version_ids: Sequence[int]) -> tuple[PreviewRow, ...]:
    rows = connection.execute(
        select(previews)
        .where(previews.c.version_id.in_(version_ids))
        .order_by(previews.c.version_id, previews.c.position)
        .limit(MOST_PREVIEWS)
    )
    return tuple(
        PreviewRow(
            version_id=row.version_id,
            url=row.url,
            kind=row.kind,
            width=row.width,
            height=row.height,
            nsfw_level=row.nsfw_level,
            file=row.file,
            meta=decoded(row.meta),
        )
        for row in rows
    )


def _events(connection: Connection, row: FileRow) -> tuple[EventRow, ...]:
    """What happened to the file or its content: two indexed lookups, joined here."""
    found: dict[int, Row[*tuple[Any, ...]]] = {}
    for column, value in ((events.c.local_file_id, row.id), (events.c.sha256, row.sha256)):
        if value is not None:
            statement = select(events).where(column == value)
            latest = statement.order_by(events.c.id.desc()).limit(MOST_EVENTS)
            found.update((one.id, one) for one in connection.execute(latest))
    newest = sorted(found.values(), key=lambda one: -one.id)[:MOST_EVENTS]
    return tuple(events_of(newest))
