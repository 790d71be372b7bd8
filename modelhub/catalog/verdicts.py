"""What scans of pickles found: kept with the content, and until that is known with the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from sqlalchemy import and_, func, or_, select, update

from modelhub.catalog.records import Found
from modelhub.catalog.rows import FileState
from modelhub.catalog.scanning import facts_text
from modelhub.catalog.scanrows import Verdict
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import blobs, findings, local_files, scans
from modelhub.catalog.texts import stored_number
from modelhub.catalog.upserts import upsert

_FOUND = msgspec.json.Decoder(Found)
_WITHOUT_CODE = frozenset({"safetensors", "gguf"})
"""Formats in which no pickle is, where the file is called so as well."""
_ENDINGS = (".safetensors", ".sft", ".gguf")
_AS_HASHED = frozenset({FileState.HASHED.value, FileState.QUARANTINED.value})
"""States in which a file's content is that of its blob."""


def put_scan(
    writer: Writer, blob_id: int, verdict: str | None, scanner: int | None, report: str | None
) -> None:
    """Keep what a scan found in a content, unless later rules have looked at it already."""
    if verdict is None or scanner is None:
        return
    connection = writer.connection
    by = connection.scalar(select(scans.c.scanner).where(scans.c.blob_id == blob_id))
    if by is not None and by > scanner:
        return
    row = {"blob_id": blob_id, "scanner": scanner, "report": report or "{}"}
    upsert(writer, scans, ("blob_id",), row)
    connection.execute(update(blobs).where(blobs.c.id == blob_id).values(pickle_verdict=verdict))


def record_verdicts(store: Store, found: Sequence[Verdict]) -> list[bool]:
    """See :meth:`modelhub.catalog.Catalog.record_verdicts`."""
    with store.write() as writer:
        return [_record(writer, one) for one in found]


def _record(writer: Writer, one: Verdict) -> bool:
    files = local_files.c
    row = writer.connection.execute(
        select(files.size, files.mtime_ns, files.blob_id, files.state, findings.c.facts)
        .select_from(local_files)
        .outerjoin(findings, findings.c.file_id == files.id)
        .where(files.id == one.file_id)
    ).first()
    if row is None or (row.size, row.mtime_ns) != (one.size, stored_number(one.mtime_ns)):
        return False
    if row.blob_id is not None and row.state in _AS_HASHED:
        put_scan(writer, row.blob_id, one.verdict, one.scanner, one.report)
        writer.blobs_changed([row.blob_id])
    if row.facts is not None or row.state not in _AS_HASHED:
        known = Found() if row.facts is None else _FOUND.decode(row.facts)
        facts = facts_text(replace(known, pickle_verdict=one.verdict, scanner=one.scanner))
        kept = {"file_id": one.file_id, "facts": facts, "scan": one.report}
        upsert(writer, findings, ("file_id",), kept)
    writer.files_changed([one.file_id])
    return True


def unscanned(store: Store, root_id: int, scanner: int) -> set[str]:
    """See :meth:`modelhub.catalog.Catalog.unscanned`."""
    files = local_files.c
    statement = (
        select(files.path, blobs.c.format, scans.c.scanner, findings.c.facts)
        .select_from(local_files)
        .outerjoin(blobs, blobs.c.id == files.blob_id)
        .outerjoin(scans, scans.c.blob_id == files.blob_id)
        .outerjoin(findings, findings.c.file_id == files.id)
        .where(files.root_id == root_id, files.state != FileState.QUARANTINED.value)
        .where(
            or_(
                blobs.c.format.is_(None),
                blobs.c.format.not_in(_WITHOUT_CODE),
                and_(*(~func.lower(files.path).like(f"%{ending}") for ending in _ENDINGS)),
            )
        )
    )
    wanted: set[str] = set()
    with store.read() as connection:
        for path, format_, by, facts in connection.execute(statement):
            if facts is not None:
                found = _FOUND.decode(facts)
                format_, by = found.format, found.scanner
            harmless = format_ in _WITHOUT_CODE and path.lower().endswith(_ENDINGS)
            if not harmless and (by is None or by < scanner):
                wanted.add(path)
    return wanted
