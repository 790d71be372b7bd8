"""Which content was made from which: conversions, merges, extractions.

The sources are kept by their SHA256 alone, so that what a file was made from stays known when the
source was never in the catalog, or is gone from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from modelhub.catalog import history
from modelhub.catalog.records import EventRecord
from modelhub.catalog.rows import FileState
from modelhub.catalog.showing import Derivation
from modelhub.catalog.store import Store
from modelhub.catalog.tables import blobs, derivations, local_files, roots
from modelhub.errors import UnknownFile

MOST_DERIVATIONS = 100
"""That are shown of one content."""


def record_derived(
    store: Store, now: datetime, result_sha256: str, sources: Sequence[str], operation: str
) -> None:
    """See :meth:`modelhub.catalog.Catalog.record_derived`."""
    result = result_sha256.upper()
    of = [one for one in dict.fromkeys(source.upper() for source in sources) if one != result]
    with store.write() as writer:
        connection = writer.connection
        number = connection.scalar(select(blobs.c.id).where(blobs.c.sha256 == result))
        if number is None:
            raise UnknownFile(f"the catalog knows no content {result}")
        connection.execute(delete(derivations).where(derivations.c.result_id == number))
        rows = [
            {
                "result_id": number,
                "source_sha256": source,
                "position": position,
                "operation": operation,
                "at": now,
            }
            for position, source in enumerate(of)
        ]
        if rows:
            connection.execute(derivations.insert(), rows)
        detail = {"sources": of}
        event = EventRecord(kind="derived", text=operation, sha256=result, detail=detail)
        history.append(writer, now, event)


def made_from(connection: Connection, blob_id: int | None) -> tuple[Derivation, ...]:
    """The contents from which this one was made."""
    if blob_id is None:
        return ()
    rows = connection.execute(
        select(derivations.c.source_sha256, derivations.c.operation, derivations.c.at)
        .where(derivations.c.result_id == blob_id)
        .order_by(derivations.c.position)
        .limit(MOST_DERIVATIONS)
    ).all()
    return _shown(connection, rows)


def made_into(connection: Connection, sha256: str | None) -> tuple[Derivation, ...]:
    """What was made from this content."""
    if sha256 is None:
        return ()
    rows = connection.execute(
        select(blobs.c.sha256, derivations.c.operation, derivations.c.at)
        .join(derivations, derivations.c.result_id == blobs.c.id)
        .where(derivations.c.source_sha256 == sha256)
        .order_by(derivations.c.at.desc(), derivations.c.result_id.desc())
        .limit(MOST_DERIVATIONS)
    ).all()
    return _shown(connection, rows)


def _shown(connection: Connection, rows: Iterable[Row[*tuple[Any, ...]]]) -> tuple[Derivation, ...]:
    found = [tuple(row) for row in rows]
    places = _places(connection, [sha256 for sha256, _, _ in found])
    return tuple(
        Derivation(sha256=sha256, operation=operation, at=at, files=tuple(places.get(sha256, ())))
        for sha256, operation, at in found
    )


def _places(connection: Connection, contents: Sequence[str]) -> dict[str, list[str]]:
    """Where these contents are on disk, in the order in which the files were added."""
    rows = connection.execute(
        select(blobs.c.sha256, roots.c.path + "/" + local_files.c.path)
        .select_from(local_files)
        .join(blobs, blobs.c.id == local_files.c.blob_id)
        .join(roots, roots.c.id == local_files.c.root_id)
        .where(blobs.c.sha256.in_(contents), local_files.c.state != FileState.MISSING.value)
        .order_by(local_files.c.id)
    )
    found: dict[str, list[str]] = {}
    for sha256, path in rows:
        found.setdefault(sha256, []).append(path)
    return found
