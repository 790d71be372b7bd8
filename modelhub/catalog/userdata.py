"""What the user writes: tags, ratings, notes, own trigger words. It hangs on the content, so that
it survives a rename, a move and a second download; nothing that Civitai says overwrites it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from modelhub.catalog import history
from modelhub.catalog.batching import batches
from modelhub.catalog.fulltext.words import folded
from modelhub.catalog.records import EventRecord
from modelhub.catalog.showing import Changed
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import (
    blob_tags,
    blobs,
    local_files,
    notes,
    ratings,
    trigger_words,
)
from modelhub.catalog.tables import (
    tags as tags_table,
)
from modelhub.catalog.tagnames import normalised_tag
from modelhub.catalog.texts import stored_text
from modelhub.catalog.types import taken
from modelhub.catalog.upserts import upsert
from modelhub.errors import UsageError

MOST_TAGS = 50
"""Tags given at once."""
LONGEST_NOTE = 100_000
"""Characters."""
LONGEST_TRIGGER_WORD = 500
MOST_TRIGGER_WORDS = 1_000
"""The user's own of one content."""


def change(
    store: Store,
    now: datetime,
    file_ids: Sequence[int],
    kind: str,
    text: str,
    detail: dict[str, Any],
    apply: Callable[[Writer, list[int]], set[int]],
) -> Changed:
    """Run `apply` on the contents of the files, which gives those that it changed, and put each
    into the history."""
    with store.write() as writer:
        files, ids, changed = 0, set[int](), set[int]()
        unhashed = 0
        for batch in batches(set(file_ids)):
            rows = writer.connection.scalars(
                select(local_files.c.blob_id).where(local_files.c.id.in_(batch))
            ).all()
            files += len(rows)
            unhashed += rows.count(None)
            ids.update(blob for blob in rows if blob is not None)
        for batch in batches(ids):
            changed |= apply(writer, batch)
        writer.blobs_changed(changed)
        for batch in batches(changed):
            for sha256 in writer.connection.scalars(
                select(blobs.c.sha256).where(blobs.c.id.in_(batch)).order_by(blobs.c.id)
            ).all():
                event = EventRecord(kind=kind, text=text, sha256=sha256, detail=detail)
                history.append(writer, now, event)
        return Changed(files=files, blobs=len(changed), unhashed=unhashed)


def _tags(texts: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(map(normalised_tag, texts)))
    if not names:
        raise UsageError("no tag was given")
    if len(names) > MOST_TAGS:
        raise UsageError(f"{MOST_TAGS} tags at most can be given at once")
    return names


def tag(store: Store, now: datetime, file_ids: Sequence[int], texts: Sequence[str]) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.tag`."""
    names = _tags(texts)

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        return put_tags(writer, now, blob_ids, names)

    return change(
        store, now, file_ids, "tagged", "tagged " + ", ".join(names), {"tags": names}, apply
    )


def put_tags(
    writer: Writer, now: datetime, blob_ids: Sequence[int], names: Sequence[str]
) -> set[int]:
    """Put tags, in their one spelling, on contents; those that did not have them all."""
    connection = writer.connection
    connection.execute(
        writer.insert(tags_table).on_conflict_do_nothing(), [{"name": name} for name in names]
    )
    tag_ids = connection.scalars(select(tags_table.c.id).where(tags_table.c.name.in_(names))).all()
    there = _tagged(writer, blob_ids, tag_ids)
    missing = [
        (blob_id, tag_id)
        for blob_id in blob_ids
        for tag_id in tag_ids
        if (blob_id, tag_id) not in there
    ]
    if missing:
        rows = [{"blob_id": blob, "tag_id": one, "added_at": now} for blob, one in missing]
        connection.execute(writer.insert(blob_tags).on_conflict_do_nothing(), rows)
    return {blob_id for blob_id, _ in missing}


def untag(store: Store, now: datetime, file_ids: Sequence[int], texts: Sequence[str]) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.untag`."""
    names = _tags(texts)

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        tag_ids = writer.connection.scalars(
            select(tags_table.c.id).where(tags_table.c.name.in_(names))
        ).all()
        there = _tagged(writer, blob_ids, tag_ids)
        writer.connection.execute(
            delete(blob_tags).where(
                blob_tags.c.blob_id.in_(blob_ids), blob_tags.c.tag_id.in_(tag_ids)
            )
        )
        return {blob_id for blob_id, _ in there}

    return change(
        store, now, file_ids, "untagged", "untagged " + ", ".join(names), {"tags": names}, apply
    )


def _tagged(
    writer: Writer, blob_ids: Sequence[int], tag_ids: Sequence[int]
) -> set[tuple[int, int]]:
    rows = writer.connection.execute(
        select(blob_tags.c.blob_id, blob_tags.c.tag_id).where(
            blob_tags.c.blob_id.in_(blob_ids), blob_tags.c.tag_id.in_(tag_ids)
        )
    )
    return {(row.blob_id, row.tag_id) for row in rows}


def rate(store: Store, now: datetime, file_ids: Sequence[int], rating: int | None) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.rate`."""
    if rating is not None and rating not in range(1, 6):
        raise UsageError(f"{rating} is no rating", hint="rate from 1 to 5")

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        rows = writer.connection.execute(
            select(ratings.c.blob_id, ratings.c.rating).where(ratings.c.blob_id.in_(blob_ids))
        )
        before = {row.blob_id: row.rating for row in rows}
        changed = {blob_id for blob_id in blob_ids if before.get(blob_id) != rating}
        if rating is None:
            _drop(writer, ratings.c.blob_id.in_(changed))
        for blob_id in sorted(changed) if rating is not None else ():
            row = {"blob_id": blob_id, "rating": rating, "updated_at": now}
            upsert(writer, ratings, ("blob_id",), row)
        return changed

    text = "rating removed" if rating is None else f"rated {rating}"
    return change(store, now, file_ids, "rated", text, {"rating": rating}, apply)


def note(store: Store, now: datetime, file_ids: Sequence[int], text: str | None) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.note`."""
    wanted = stored_text(text or "").strip() or None
    if wanted and len(wanted) > LONGEST_NOTE:
        raise UsageError(f"a note has {LONGEST_NOTE:,} characters at most")

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        rows = writer.connection.execute(
            select(notes.c.blob_id, notes.c.text).where(notes.c.blob_id.in_(blob_ids))
        )
        before = {row.blob_id: row.text for row in rows}
        changed = {blob_id for blob_id in blob_ids if before.get(blob_id) != wanted}
        if wanted is None:
            _drop(writer, notes.c.blob_id.in_(changed))
        for blob_id in sorted(changed) if wanted is not None else ():
            row = {"blob_id": blob_id, "text": wanted, "updated_at": now}
            upsert(writer, notes, ("blob_id",), row)
        return changed

    said = "note removed" if wanted is None else "note written"
    return change(store, now, file_ids, "noted", said, {"note": wanted}, apply)


def _drop(writer: Writer, which: Any) -> None:
    writer.connection.execute(delete(which.left.table).where(which))


def clean_trigger_words(words: Sequence[str]) -> list[str]:
    """Trigger words as they are kept: single spaces, each once; what is too long is none."""
    plain = dict.fromkeys(" ".join(stored_text(word).split()) for word in words)
    fitting = [word for word in plain if 0 < len(word) <= LONGEST_TRIGGER_WORD]
    return fitting[:MOST_TRIGGER_WORDS]


def set_trigger_words(
    store: Store, now: datetime, file_ids: Sequence[int], words: Sequence[str]
) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.set_trigger_words`."""
    if any(len(word) > LONGEST_TRIGGER_WORD for word in words):
        raise UsageError(f"a trigger word has {LONGEST_TRIGGER_WORD} characters at most")
    wanted = clean_trigger_words(words)

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        before: dict[int, list[str]] = {blob_id: [] for blob_id in blob_ids}
        for row in writer.connection.execute(
            select(trigger_words.c.blob_id, trigger_words.c.word)
            .where(trigger_words.c.blob_id.in_(blob_ids))
            .order_by(trigger_words.c.position)
        ):
            before[row.blob_id].append(row.word)
        changed = {blob_id for blob_id, own in before.items() if own != wanted}
        _drop(writer, trigger_words.c.blob_id.in_(changed))
        rows = [
            {"version_id": None, "blob_id": blob_id, "position": position, "word": word}
            for blob_id in sorted(changed)
            for position, word in enumerate(wanted)
        ]
        if rows:
            writer.connection.execute(trigger_words.insert(), rows)
        return changed

    said = "trigger words set"
    return change(store, now, file_ids, "trigger words", said, {"words": wanted}, apply)


def tags(store: Store, prefix: str, limit: int) -> list[tuple[str, int]]:
    """See :meth:`modelhub.catalog.Catalog.tags`."""
    number = func.count(blob_tags.c.blob_id)
    statement = (
        select(tags_table.c.name, number)
        .join(blob_tags, blob_tags.c.tag_id == tags_table.c.id)
        .group_by(tags_table.c.name)
        .order_by(number.desc(), tags_table.c.name)
        .limit(taken(limit))
    )
    start = folded(stored_text(prefix)).strip()
    if start:
        statement = statement.where(tags_table.c.name.startswith(start, autoescape=True))
    with store.read() as connection:
        return [(name, count) for name, count in connection.execute(statement)]
