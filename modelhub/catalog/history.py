"""The history: what happened, appended and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select

from modelhub.catalog.records import EventRecord
from modelhub.catalog.showing import EventRow
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import events
from modelhub.catalog.texts import json_text, stored_number
from modelhub.catalog.types import taken


def append(writer: Writer, now: datetime, event: EventRecord) -> int:
    """Append inside a transaction; the event's id."""
    row = writer.connection.execute(
        writer.insert(events)
        .values(
            at=event.at or now,
            kind=event.kind,
            text=event.text,
            sha256=None if event.sha256 is None else event.sha256.upper(),
            local_file_id=event.local_file_id,
            version_id=event.version_id,
            detail=json_text(event.detail),
        )
        .returning(events.c.id)
    ).one()
    return int(row.id)


def record_event(store: Store, now: datetime, event: EventRecord) -> int:
    """See :meth:`modelhub.catalog.Catalog.record_event`."""
    with store.write() as writer:
        return append(writer, now, event)


def events_of(rows: list[Row[*tuple[Any, ...]]]) -> list[EventRow]:
    """Rows of the table, decoded."""
    return [EventRow(**{**row._mapping, "detail": msgspec.json.decode(row.detail)}) for row in rows]


def list_events(
    store: Store, limit: int, before: int | None, kinds: tuple[str, ...]
) -> list[EventRow]:
    """See :meth:`modelhub.catalog.Catalog.events`."""
    statement = select(events).order_by(events.c.id.desc()).limit(taken(limit))
    if before is not None:
        statement = statement.where(events.c.id < stored_number(before))
    if kinds:
        statement = statement.where(events.c.kind.in_(kinds))
    with store.read() as connection:
        return events_of(list(connection.execute(statement)))


def event(store: Store, event_id: int) -> EventRow | None:
    """See :meth:`modelhub.catalog.Catalog.event`."""
    statement = select(events).where(events.c.id == stored_number(event_id))
    with store.read() as connection:
        return next(iter(events_of(list(connection.execute(statement)))), None)
