"""Preparing what a scan saw for the catalog: the work of words, facts, JSON and packing.

That work takes longer than writing the rows, so it is done where the headers are read, in other
processes; only plain values travel. Importing this module imports no SQLAlchemy.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from modelhub.catalog.describing import FileView, Gathered, document_of, listing_of
from modelhub.catalog.fulltext.document import Document
from modelhub.catalog.records import Found, ScannedFile
from modelhub.catalog.texts import (
    json_text,
    packed,
    stored_inode,
    stored_number,
    stored_size,
    stored_text,
)

_NOT_IN_FACTS = frozenset({"header", "scan"})
_NAMES = tuple(field.name for field in fields(Found) if field.name not in _NOT_IN_FACTS)
_values = attrgetter(*_NAMES)
_NEW = "new"
_NOTHING = Found()
TEXTS = ("name", "model", "version", "creator", "tags", "triggers", "notes", "facts")
"""The columns of :class:`Prepared.texts`, in their order."""


class Prepared(NamedTuple):
    """A scanned file, ready to be recorded."""

    path: str
    size: int
    mtime_ns: int
    inode: int | None
    fault: str | None
    part_of: str | None
    added_at: datetime
    facts: str | None
    """JSON: what was found, but for the header and the report on its pickles."""
    header: bytes | None
    """Packed JSON."""
    listing: tuple[object, ...] | None
    """The row of ``listings`` in the order of
    :data:`~modelhub.catalog.describing.LISTING_COLUMNS`, for a file that is not known yet; None for
    a part of a model, which has none."""
    texts: tuple[str, ...] | None
    """Its words and facts for the full-text index, in the order of :data:`TEXTS`."""
    verdict: str | None = None
    """Of its pickles; None where it carries none."""
    scanner: int | None = None
    scan: bytes | None = None
    """Packed JSON: the report on its pickles."""


def prepare(scanned: ScannedFile, now: datetime) -> Prepared:
    """Do all the work on a scanned file that does not need the catalog.

    :param now: aware: when the file comes into the catalog.
    """
    found = scanned.found
    fault = None if scanned.fault is None else stored_text(scanned.fault)
    size = stored_size(scanned.size) or 0
    listing, texts = None, None
    if scanned.part_of is None:
        view = FileView(
            id=0,
            root_id=0,
            path=scanned.path,
            size=size,
            state=_NEW,
            added_at=now,
            found=found or _NOTHING,
            fault=fault,
        )
        gathered = Gathered(file=view, copies=0)
        listing = tuple(listing_of(gathered).values())
        texts = texts_of(document_of(gathered))
    return Prepared(
        path=scanned.path,
        size=size,
        mtime_ns=stored_number(scanned.mtime_ns),
        inode=stored_inode(scanned.inode),
        fault=fault,
        part_of=scanned.part_of,
        added_at=now,
        facts=facts_text(found) if found else None,
        header=packed(found.header) if found and found.header is not None else None,
        listing=listing,
        texts=texts,
        verdict=found.pickle_verdict if found else None,
        scanner=found.scanner if found else None,
        scan=packed(found.scan) if found and found.scan is not None else None,
    )


def facts_text(found: Found) -> str:
    """What was found, but for the header and the report on its pickles, as JSON."""
    values = zip(_NAMES, _values(found), strict=True)
    return json_text({name: value for name, value in values if value is not None and value != ()})


def texts_of(document: Document) -> tuple[str, ...]:
    """The words and facts of a document, joined by spaces, which no word holds."""
    return tuple(" ".join(words) for words in (*document.columns(), document.facts))


def document_from(file_id: int, texts: tuple[str, ...]) -> Document:
    """The document that :func:`texts_of` joined."""
    words = {name: text.split(" ") if text else [] for name, text in zip(TEXTS, texts, strict=True)}
    return Document(id=file_id, **words)
