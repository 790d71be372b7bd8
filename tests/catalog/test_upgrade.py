"""A catalog of the first release, with files and all that a user wrote, is brought up to date."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, create_engine, event, text
from sqlalchemy.engine import make_url

from modelhub.catalog import Found, Verdict, open_catalog, upgrading
from modelhub.catalog.describing import (
    FileView,
    Gathered,
    PublishedView,
    document_of,
    listing_of,
)
from modelhub.catalog.fulltext.postgres import tsvector_literal
from modelhub.catalog.revision import HEAD
from modelhub.catalog.scanning import TEXTS, texts_of
from modelhub.config.settings import Config

from .shelf import Shelf, sha256_of

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
PUBLISHED: dict[str, Any] = {
    "version_id": 10,
    "version_name": "v1",
    "base_model": "SD 1.5",
    "model_id": 1,
    "model_name": "Inkwash",
    "model_type": "Checkpoint",
    "creator": "someone",
    "nsfw": False,
    "model_tags": '["style"]',
    "file_type": "Model",
    "file_format": "SafeTensor",
    "file_fp": None,
    "pickle_scan": None,
}


@pytest.fixture(params=["0001", "0002"])
def old(config: Config, request: pytest.FixtureRequest) -> Config:
    """A catalog of an old revision: one published and hashed file, and one that is not hashed."""
    url = make_url(config.catalog.database_url or "")
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON"))
    with engine.begin() as connection:
        command.upgrade(upgrading.alembic_config(connection), request.param)
        _fill(connection)
    engine.dispose()
    if url.get_backend_name() == "sqlite":
        _mark(Path(url.database or ""))
    return config


def _mark(path: Path) -> None:
    import sqlite3

    from modelhub.catalog.revision import APPLICATION_ID

    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.close()


def _fill(connection: Connection) -> None:
    tables = MetaData()
    tables.reflect(connection)

    def add(name: str, /, **row: Any) -> None:
        table: Table = tables.tables[name]
        connection.execute(table.insert(), {k: v for k, v in row.items() if k in table.c})

    now = NOW.replace(tzinfo=None) if connection.dialect.name == "sqlite" else NOW
    add("models", id=1, name="Inkwash", type="Checkpoint", fetched_at=now)
    add("versions", id=10, model_id=1, name="v1", base_model="SD 1.5", fetched_at=now)
    add("roots", path="/library", watched=False, added_at=now)
    add(
        "blobs", sha256=sha256_of("ink"), size=1000, kind="checkpoint", architecture="sd1",
        parameters=860_000_000, ema=True, vae=True, added_at=now,
    )  # fmt: skip
    for number, path in ((1, "ink.safetensors"), (2, "seen.pt")):
        hashed = number == 1
        add(
            "local_files", root_id=1, path=path, size=1000, mtime_ns=1, inode=5,
            blob_id=1 if hashed else None, state="hashed" if hashed else "new", added_at=now,
            version_id=10 if hashed else None,
        )  # fmt: skip
        _list(connection, add, number, path, now)
    if connection.dialect.name == "sqlite":
        connection.execute(text("INSERT INTO search_index(search_index) VALUES ('rebuild')"))
    add("tags", name="mine")
    add("blob_tags", blob_id=1, tag_id=1, added_at=now)
    add("notes", blob_id=1, text="good at 30 steps", updated_at=now)
    add("ratings", blob_id=1, rating=5, updated_at=now)
    add("trigger_words", blob_id=1, position=0, word="ink wash")
    add("events", at=now, kind="tagged", text="tagged mine", detail="{}")


def _list(connection: Connection, add: Any, number: int, path: str, now: datetime) -> None:
    hashed = number == 1
    known = Found(kind="checkpoint", architecture="sd1", ema=True, vae=True, parameters=860_000_000)
    found = known if hashed else Found()
    view = FileView(
        id=number, root_id=1, path=path, size=1000, state="hashed" if hashed else "new",
        added_at=NOW, found=found, blob_id=1 if hashed else None,
        note="good at 30 steps" if hashed else None, rating=5 if hashed else None,
    )  # fmt: skip
    gathered = Gathered(
        file=view,
        publications=[PublishedView(**PUBLISHED)] if hashed else [],
        tags=["mine"] if hashed else [],
        own_words=["ink wash"] if hashed else [],
        copies=1 if hashed else 0,
    )
    add("listings", **listing_of(gathered) | {"added_at": now})
    document = document_of(gathered)
    if connection.dialect.name == "sqlite":
        add("search_text", id=number, **dict(zip(TEXTS, texts_of(document), strict=True)))
    else:
        connection.execute(
            text("INSERT INTO search_vectors VALUES (:id, CAST(:words AS tsvector))"),
            {"id": number, "words": tsvector_literal(document)},
        )


def test_everything_is_there_after_the_upgrade(old: Config) -> None:
    with open_catalog(old) as catalog:
        shelf = Shelf(catalog)
        report = catalog.check(thorough=True)
        assert report.ok, report.findings
        assert len(report.backups) == (catalog.path is not None)
        row = catalog.list_files("tag:mine rating:5 note:steps trigger:ink")[0]
        assert (row.path, row.architecture, row.parameters) == (
            "ink.safetensors",
            "sd1",
            860_000_000,
        )
        assert (row.ema, row.vae, row.parts, row.fault) == (True, True, 1, None)
        assert shelf.found("pruned:unknown fault:no guessed:no") == {"ink.safetensors", "seen.pt"}
        assert [one.path for one in catalog.unhashed(5)] == ["seen.pt"]
        assert [one.path for one in catalog.find_by_inode([(5, 1000, 1)])] == [
            "ink.safetensors",
            "seen.pt",
        ]
        assert catalog.set_user_values("ink", {"vae": "ft-mse"}).blobs == 1
        assert catalog.show(row.id).user_values == {"vae": "ft-mse"}
        assert shelf.put("more.pt") > row.id


def test_nothing_is_safe_that_was_not_scanned_before_the_upgrade(old: Config) -> None:
    with open_catalog(old) as catalog:
        shelf = Shelf(catalog)
        assert shelf.found("unsafe:unknown verdict:none") >= {"seen.pt"}
        assert shelf.found("-verdict:none") == set()
        [root] = catalog.roots()
        assert root.verdicts_by is None
        assert catalog.unscanned(root.id, 1) >= {"seen.pt"}
        seen = catalog.list_files("seen")[0]
        found = Verdict(seen.id, 1000, 1, "dangerous", 1, '{"scanner": 1}')
        assert catalog.record_verdicts([found]) == [True]
        assert shelf.found("verdict:dangerous unsafe:yes") == {"seen.pt"}
        assert catalog.show(seen.id).scan == {"scanner": 1}
        catalog.record_derived(sha256_of("ink"), [sha256_of("other")], "converted")
        ink = catalog.list_files("ink")[0]
        assert [one.operation for one in catalog.show(ink.id).made_from] == ["converted"]


def test_an_upgrade_happens_once(old: Config) -> None:
    open_catalog(old).close()
    with open_catalog(old) as catalog:
        assert catalog.check().revision == HEAD
        assert json.dumps(catalog.count("")) == "2"
