"""Carrying what the user wrote in and out: other tools' sidecars, backups, another machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, union

from modelhub.catalog import history
from modelhub.catalog.details import hashes_of
from modelhub.catalog.keeprows import UserWords
from modelhub.catalog.records import EventRecord
from modelhub.catalog.showing import Changed
from modelhub.catalog.store import Store, Writer
from modelhub.catalog.tables import (
    blob_tags,
    blobs,
    imports,
    local_files,
    notes,
    ratings,
    roots,
    tags,
    trigger_words,
    user_values,
)
from modelhub.catalog.tagnames import normalised_tag
from modelhub.catalog.texts import json_text, stored_text
from modelhub.catalog.upserts import upsert
from modelhub.catalog.userdata import (
    LONGEST_NOTE,
    MOST_TAGS,
    change,
    clean_trigger_words,
    put_tags,
)
from modelhub.errors import UnknownFile, UsageError

USER_VALUES = (
    "title",
    "preferred_weight",
    "negative_text",
    "vae",
    "favorite",
    "usage_tips",
    "sd_version",
)
"""What other tools let a user write besides tags, notes and trigger words."""
LONGEST_VALUE = 10_000
"""Characters."""
PAGE = 500
"""Contents that are exported at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Words to be imported, as they came."""

    note: str | None = None
    trigger_words: Sequence[str] = ()
    tags: Sequence[str] = ()
    rating: int | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def cleaned(self) -> Words:
        """Without what the catalog does not keep: files of other tools may hold anything."""
        names: dict[str, None] = {}
        for tag in self.tags:
            try:
                names[normalised_tag(tag)] = None
            except UsageError:
                continue
        values = {name: self.values.get(name) for name in USER_VALUES}
        return Words(
            note=stored_text(self.note or "").strip()[:LONGEST_NOTE] or None,
            trigger_words=clean_trigger_words(self.trigger_words),
            tags=list(names)[:MOST_TAGS],
            rating=self.rating if self.rating in range(1, 6) else None,
            values={
                name: stored_text(value).strip()[:LONGEST_VALUE]
                for name, value in values.items()
                if value and value.strip()
            },
        )

    def digest(self) -> str:
        """Tells whether they are the same as last time."""
        return hashlib.blake2b(json_text(self).encode(), digest_size=16).hexdigest()


def set_values(
    store: Store, now: datetime, file_ids: Sequence[int], values: Mapping[str, str | None]
) -> Changed:
    """See :meth:`modelhub.catalog.Catalog.set_user_values`."""
    wanted = {name: stored_text(value or "").strip() or None for name, value in values.items()}
    for name, value in wanted.items():
        if name not in USER_VALUES:
            raise UsageError(f"{name!r} is no value", hint="known are " + ", ".join(USER_VALUES))
        if value and len(value) > LONGEST_VALUE:
            raise UsageError(f"{name} has {LONGEST_VALUE:,} characters at most")

    def apply(writer: Writer, blob_ids: list[int]) -> set[int]:
        before = {one: _values_of(writer.connection, one) for one in blob_ids}
        changed = {
            one
            for one, known in before.items()
            if any(known.get(name) != value for name, value in wanted.items())
        }
        for blob_id in sorted(changed):
            _put_values(writer, now, blob_id, wanted)
        return changed

    said = "set " + ", ".join(wanted)
    return change(store, now, file_ids, "values", said, {"values": wanted}, apply)


def _values_of(connection: Connection, blob_id: int) -> dict[str, str]:
    rows = connection.execute(
        select(user_values.c.name, user_values.c.value)
        .where(user_values.c.blob_id == blob_id)
        .order_by(user_values.c.name)
    )
    return {row.name: row.value for row in rows}


def _put_values(
    writer: Writer, now: datetime, blob_id: int, values: Mapping[str, str | None]
) -> None:
    for name, value in values.items():
        if value is None:
            writer.connection.execute(
                delete(user_values).where(
                    user_values.c.blob_id == blob_id, user_values.c.name == name
                )
            )
        else:
            row = {"blob_id": blob_id, "name": name, "value": value, "updated_at": now}
            upsert(writer, user_values, ("blob_id", "name"), row)


def import_words(
    store: Store, now: datetime, sha256: str, words: Words, source: str, replace: bool
) -> bool:
    """See :meth:`modelhub.catalog.Catalog.import_user_words`."""
    wanted = words.cleaned()
    source = stored_text(source)
    with store.write() as writer:
        blob = writer.connection.execute(
            select(blobs).where(blobs.c.sha256 == sha256.upper())
        ).first()
        if blob is None:
            raise UnknownFile(f"the catalog knows no content {sha256}")
        if not _is_news(writer, now, blob.id, source, wanted.digest()) and not replace:
            return False
        before = _words_of(writer.connection, [blob])[0]
        after = wanted if replace else _merged(before, wanted)
        if not _write(writer, now, blob.id, before, after):
            return False
        writer.blobs_changed([blob.id])
        event = EventRecord(
            kind="imported",
            text="words of the user imported",
            sha256=blob.sha256,
            detail={"source": source},
        )
        history.append(writer, now, event)
    return True


def copy_words(store: Store, now: datetime, source: str, result: str) -> bool:
    """See :meth:`modelhub.catalog.Catalog.copy_user_words`."""
    with store.write() as writer:
        found = writer.connection.execute(select(blobs).where(blobs.c.sha256 == source)).first()
        if found is None:
            raise UnknownFile(f"the catalog knows no content {source}")
        written = _words_of(writer.connection, [found])[0]
        words = Words(
            note=written.note,
            trigger_words=written.trigger_words,
            tags=written.tags,
            rating=written.rating,
            values=written.values,
        )
        return import_words(store, now, result, words, f"made from {source}", replace=False)


def _is_news(writer: Writer, now: datetime, blob_id: int, source: str, digest: str) -> bool:
    """Whether these words were not imported from there before; from now on they were."""
    known = writer.connection.scalar(
        select(imports.c.digest).where(imports.c.blob_id == blob_id, imports.c.source == source)
    )
    if known == digest:
        return False
    row = {"blob_id": blob_id, "source": source, "digest": digest, "imported_at": now}
    upsert(writer, imports, ("blob_id", "source"), row)
    return True


def _merged(before: UserWords, words: Words) -> Words:
    """What the user wrote here, and after it what is new in `words`."""
    known = {word.casefold() for word in before.trigger_words}
    new = [word for word in words.trigger_words if word.casefold() not in known]
    return Words(
        note=before.note or words.note,
        trigger_words=[*before.trigger_words, *new],
        tags=list(dict.fromkeys([*before.tags, *words.tags])),
        rating=before.rating or words.rating,
        values={**words.values, **before.values},
    )


def _write(writer: Writer, now: datetime, blob_id: int, before: UserWords, after: Words) -> bool:
    """Make what the user wrote about a content be `after`, where `after` says something."""
    changed = False
    connection = writer.connection
    if after.note and after.note != before.note:
        row = {"blob_id": blob_id, "text": after.note, "updated_at": now}
        upsert(writer, notes, ("blob_id",), row)
        changed = True
    if after.rating and after.rating != before.rating:
        row = {"blob_id": blob_id, "rating": after.rating, "updated_at": now}
        upsert(writer, ratings, ("blob_id",), row)
        changed = True
    if after.trigger_words and tuple(after.trigger_words) != before.trigger_words:
        connection.execute(delete(trigger_words).where(trigger_words.c.blob_id == blob_id))
        connection.execute(
            trigger_words.insert(),
            [
                {"version_id": None, "blob_id": blob_id, "position": position, "word": word}
                for position, word in enumerate(after.trigger_words)
            ],
        )
        changed = True
    if after.tags and set(after.tags) != set(before.tags):
        if not set(before.tags) <= set(after.tags):
            connection.execute(delete(blob_tags).where(blob_tags.c.blob_id == blob_id))
        put_tags(writer, now, [blob_id], list(after.tags))
        changed = True
    values = {k: v for k, v in after.values.items() if before.values.get(k) != v}
    _put_values(writer, now, blob_id, values)
    return changed or bool(values)


_WRITTEN = union(
    *(select(table.c.blob_id) for table in (blob_tags, notes, ratings, user_values)),
    select(trigger_words.c.blob_id).where(trigger_words.c.blob_id.is_not(None)),
).subquery()


def export_words(store: Store) -> Iterator[UserWords]:
    """See :meth:`modelhub.catalog.Catalog.export_user_words`."""
    after = 0
    while True:
        with store.read() as connection:
            found = connection.execute(
                select(blobs)
                .where(blobs.c.id > after, blobs.c.id.in_(select(_WRITTEN.c.blob_id)))
                .order_by(blobs.c.id)
                .limit(PAGE)
            ).all()
            page = _words_of(connection, found)
        yield from page
        if len(found) < PAGE:
            return
        after = found[-1].id


def _words_of(connection: Connection, of_blobs: Sequence[Row[*tuple[Any, ...]]]) -> list[UserWords]:
    """What the user wrote about these contents, in their order."""
    ids = [blob.id for blob in of_blobs]

    def by_blob(statement: Any) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for blob_id, *values in connection.execute(statement):
            found.setdefault(blob_id, []).append(values[0] if len(values) == 1 else values)
        return found

    tagged = by_blob(
        select(blob_tags.c.blob_id, tags.c.name)
        .join(tags, tags.c.id == blob_tags.c.tag_id)
        .where(blob_tags.c.blob_id.in_(ids))
        .order_by(tags.c.name)
    )
    noted = by_blob(select(notes.c.blob_id, notes.c.text).where(notes.c.blob_id.in_(ids)))
    rated = by_blob(select(ratings.c.blob_id, ratings.c.rating).where(ratings.c.blob_id.in_(ids)))
    own = by_blob(
        select(trigger_words.c.blob_id, trigger_words.c.word)
        .where(trigger_words.c.blob_id.in_(ids))
        .order_by(trigger_words.c.position)
    )
    values = by_blob(
        select(user_values.c.blob_id, user_values.c.name, user_values.c.value)
        .where(user_values.c.blob_id.in_(ids))
        .order_by(user_values.c.name)
    )
    paths = by_blob(
        select(local_files.c.blob_id, roots.c.path + "/" + local_files.c.path)
        .join(roots, roots.c.id == local_files.c.root_id)
        .where(local_files.c.blob_id.in_(ids))
        .order_by(local_files.c.id)
    )
    return [
        UserWords(
            sha256=blob.sha256,
            size=blob.size,
            hashes=hashes_of(blob),
            paths=tuple(paths.get(blob.id, ())),
            tags=tuple(tagged.get(blob.id, ())),
            note=next(iter(noted.get(blob.id, ())), None),
            rating=next(iter(rated.get(blob.id, ())), None),
            trigger_words=tuple(own.get(blob.id, ())),
            values=dict(values.get(blob.id, ())),
        )
        for blob in of_blobs
    ]
