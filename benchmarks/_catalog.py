"""A large catalog for the benchmarks, on SQLite.

Only the rows are made up: what a listing and the full-text index hold of each is what
:mod:`modelhub.catalog.describing` makes of them, so the queries meet the words and facts that they
would meet in a catalog filled by pulling. Only the way in is shorter: indexes and triggers are
taken off while the rows go in, and put back.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from sqlalchemy import Connection, Table

from modelhub.catalog import Catalog, open_catalog
from modelhub.catalog.describing import (
    FileView,
    Gathered,
    PublishedView,
    document_of,
    listing_of,
)
from modelhub.catalog.listingtables import listings, search_text
from modelhub.catalog.records import Found
from modelhub.catalog.store import sqlite_store
from modelhub.catalog.tables import (
    blob_tags,
    blobs,
    local_files,
    models,
    ratings,
    roots,
    tags,
    versions,
)
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings

COMMON, RARE = "anime", "zephyrine"
"""A word of 30% of the files, and one of every 50,000th."""
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_BATCH = 20_000
_FILES_PER_MODEL = 20
_TAGS = ("style", "character", "concept", "old", "favourite", "photo", "clothing", "test")
_TYPES = ("LORA", "LORA", "LORA", "LORA", "LORA", "Checkpoint", "Checkpoint", "TextualInversion")
_BASES = ("SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "Flux.1 D")
_ARCHITECTURES = ("sd1", "sdxl", "sdxl", "sdxl", "flux")
_PRECISIONS = ("fp16", "fp16", "bf16", "fp32", "fp8")
_GIB = 1 << 30
_FOUND = ("format", "kind", "architecture", "precision", "ema", "vae", "pickle_verdict")
_VIEWED = FileView.__struct_fields__


def config_of(path: Path) -> Config:
    """The settings for a catalog in that file."""
    return Config(catalog=CatalogSettings(database_url=f"sqlite:///{path}"))


def opened(path: Path) -> Catalog:
    """The catalog in that file, at a fixed time."""
    return open_catalog(config_of(path), clock=lambda: NOW)


def build(path: Path, files: int) -> float:
    """Make a catalog of so many files; the seconds it took."""
    began = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    opened(path).close()
    store = sqlite_store(path, 5.0, read_only=False)
    with _bare(path), store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        shelves = _publish(connection, files)
        for first in range(1, files + 1, _BATCH):
            _add(connection, shelves, range(first, min(first + _BATCH, files + 1)))
        connection.commit()
    store.close()
    return time.perf_counter() - began


@contextmanager
def _bare(path: Path) -> Iterator[None]:
    """The catalog without indexes, triggers and journal, and with them again afterwards."""
    with sqlite3.connect(path) as connection:
        parts = connection.execute(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        connection.execute("PRAGMA journal_mode = OFF")
        for kind, name, _ in parts:
            connection.execute(f"DROP {kind} {name}")
    connection.close()
    yield
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -512000")
        for _, _, sql in parts:
            connection.execute(sql)
        connection.execute("INSERT INTO search_index(search_index) VALUES ('rebuild')")
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _words(chance: random.Random) -> tuple[list[str], list[float]]:
    """A vocabulary in which few words are frequent and most are rare, as in every language."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el")]
    words = [
        "".join(chance.choices(syllables, k=chance.randint(2, 4))) + chance.choice(("", "s", "n"))
        for _ in range(8_000)
    ]
    return words, list(itertools.accumulate(1 / (rank + 5) for rank in range(len(words))))


def _publish(connection: Connection, files: int) -> list[SimpleNamespace]:
    """Models with two versions each, for the files to be of."""
    chance = random.Random(1)
    words, frequency = _words(chance)
    creators = ["".join(chance.choices(words, k=2)) for _ in range(3_000)]
    shelves: list[SimpleNamespace] = []
    for model_id in range(1, max(2, files // _FILES_PER_MODEL) + 1):
        base = chance.randrange(len(_BASES))
        name = " ".join(chance.choices(words, cum_weights=frequency, k=3)).title()
        shelf = {
            "model_id": model_id,
            "model_name": name,
            "model_type": chance.choice(_TYPES),
            "creator": chance.choice(creators),
            "nsfw": chance.random() < 0.2,
            "base_model": _BASES[base],
            "architecture": _ARCHITECTURES[base],
            "model_tags": msgspec.json.encode(chance.sample(_TAGS, 2)).decode(),
            "file_type": "Model",
            "file_format": "SafeTensor",
            "file_fp": None,
            "pickle_scan": None,
            "words": chance.choices(words, cum_weights=frequency, k=4),
        }
        shelves += [
            SimpleNamespace(**shelf, version_id=2 * model_id + n, version_name=f"v{n + 1}.0")
            for n in range(2)
        ]
    _insert(connection, models, (_model(one) for one in shelves[::2]))
    _insert(connection, versions, (_version(one) for one in shelves))
    _insert(connection, roots, [{"id": 1, "path": "/models", "watched": False, "added_at": NOW}])
    _insert(connection, tags, ({"id": n, "name": name} for n, name in enumerate(_TAGS, 1)))
    return shelves


def _model(one: SimpleNamespace) -> dict[str, Any]:
    return {
        "id": one.model_id,
        "name": one.model_name,
        "type": one.model_type,
        "creator": one.creator,
        "nsfw": one.nsfw,
        "tags": one.model_tags,
        "fetched_at": NOW,
    }


def _version(one: SimpleNamespace) -> dict[str, Any]:
    return {
        "id": one.version_id,
        "model_id": one.model_id,
        "name": one.version_name,
        "base_model": one.base_model,
        "fetched_at": NOW,
    }


def _add(connection: Connection, shelves: list[SimpleNamespace], ids: range) -> None:
    made = [_made(shelves, number) for number in ids]
    gathered = [_gathered(*one) for one in made]
    rows = [row for row, _, _ in made]
    for table in (blobs, local_files):
        names = {column.name for column in table.columns}
        _insert(
            connection,
            table,
            ({name: value for name, value in vars(row).items() if name in names} for row in rows),
        )
    _insert(
        connection,
        blob_tags,
        (
            {"blob_id": row.id, "tag_id": _TAGS.index(tag) + 1, "added_at": NOW}
            for row, _, own in made
            for tag in own
        ),
    )
    _insert(
        connection,
        ratings,
        (
            {"blob_id": row.id, "rating": row.rating, "updated_at": NOW}
            for row in rows
            if row.rating
        ),
    )
    _insert(connection, listings, (listing_of(one) for one in gathered))
    _insert(connection, search_text, (_text(one) for one in gathered))


def _text(one: Gathered) -> dict[str, object]:
    document = document_of(one)
    names = [column.name for column in search_text.columns]
    return {
        name: " ".join(value) if isinstance(value := getattr(document, name), list) else value
        for name in names
    }


def _made(
    shelves: list[SimpleNamespace], number: int
) -> tuple[SimpleNamespace, SimpleNamespace, list[str]]:
    """A file with its content, what it was published as, and the tags of the user."""
    chance = random.Random(number)
    shelf = shelves[chance.randrange(len(shelves))]
    words = chance.choices(shelf.words, k=2)
    if chance.random() < 0.3:
        words.append(COMMON)
    if number % 50_000 == 7:
        words.append(RARE)
    folder = f"{shelf.model_type.lower()}/{shelf.architecture}/{shelf.words[0]}"
    size = int(_GIB * (chance.paretovariate(1.2) - 0.95))
    file = SimpleNamespace(
        id=number,
        root_id=1,
        path=f"{folder}/{'_'.join(words)}_{number}.safetensors",
        size=size,
        mtime_ns=number * 10**9,
        state="hashed" if chance.random() < 0.98 else "missing",
        added_at=NOW - timedelta(seconds=chance.randrange(3 * 365 * 86_400)),
        blob_id=number,
        version_id=shelf.version_id,
        sha256=f"{chance.getrandbits(256):064X}",
        autov3=f"{chance.getrandbits(48):012X}",
        format="safetensors",
        kind="lora" if shelf.model_type == "LORA" else "checkpoint",
        architecture=shelf.architecture,
        precision=chance.choice(_PRECISIONS),
        ema=chance.random() < 0.1,
        vae=chance.random() < 0.2,
        pickle_verdict=None,
        used_at=None,
        note=None,
        rating=chance.randint(1, 5) if chance.random() < 0.05 else None,
    )
    own = [chance.choice(_TAGS)] if chance.random() < 0.1 else []
    return file, shelf, own


def _gathered(file: SimpleNamespace, shelf: SimpleNamespace, own: list[str]) -> Gathered:
    facts: dict[str, Any] = {name: getattr(file, name) for name in _FOUND}
    known = {name: getattr(file, name) for name in _VIEWED if hasattr(file, name)}
    published = {name: getattr(shelf, name) for name in PublishedView.__struct_fields__}
    return Gathered(
        file=FileView(**known, found=Found(**facts)),
        publications=[PublishedView(**published)],
        tags=own,
        published_words=shelf.words[:2],
        copies=1,
    )


def _insert(connection: Connection, table: Table, rows: Any) -> None:
    rows = list(rows)
    if rows:
        connection.execute(table.insert(), rows)
