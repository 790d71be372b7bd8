"""The tables, the scripts and the constant agree; upgrades are copied first and run once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from modelhub.catalog import Catalog, open_catalog, revision, sqlitefile, store, upgrading
from modelhub.catalog.schema import belongs
from modelhub.catalog.tables import metadata
from modelhub.config.settings import CatalogSettings, Config

from .processes import output, start
from .shelf import Shelf


def test_the_constants_are_the_scripts() -> None:
    scripts = ScriptDirectory.from_config(upgrading.alembic_config())
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == revision.REVISIONS
    assert scripts.get_heads() == [revision.HEAD]


def test_the_scripts_build_the_tables(catalog: Catalog) -> None:
    backend = catalog._store.backend

    def compared(item: object, name: str | None, kind: str, *_: object) -> bool:
        return belongs(item, name, kind, backend)

    with catalog._store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": compared, "compare_type": True}
        )
        differences = compare_metadata(context, metadata)
        if backend == "sqlite":
            # SQLAlchemy does not read the options of a reference that was added with its column.
            assert [change[0] for change in differences] == ["remove_fk", "add_fk"]
            rows = connection.exec_driver_sql("PRAGMA foreign_key_list(local_files)").all()
            differences = []
            assert ("local_files", "part_of", "id", "SET NULL") in {
                (row.table, row[3], row.to, row.on_delete) for row in rows
            }
        assert differences == []


def make_old(path: Path) -> None:
    """Have an up-to-date catalog say that it is of the revision before the first."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.commit()
    connection.close()


@pytest.fixture
def path(sqlite_config: Config) -> Path:
    """A catalog of one file, of an older revision."""
    with open_catalog(sqlite_config) as catalog:
        Shelf(catalog).put("kept.pt")
        assert catalog.path is not None
        path = catalog.path
    make_old(path)
    return path


@pytest.fixture
def upgrades(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let revision 0000 be known; the upgrade from it is only a stamp, and is counted."""
    made: list[str] = []

    def run(opened: store.Store) -> None:
        with opened.write() as writer:
            writer.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        made.append("0001")

    monkeypatch.setattr(store, "REVISIONS", ("0000", *revision.REVISIONS))
    monkeypatch.setattr(upgrading, "_run", run)
    return made


def test_a_copy_is_made_before_an_upgrade(
    path: Path, sqlite_config: Config, upgrades: list[str]
) -> None:
    left_over = path.with_name(f".{path.name}.backup-0000-20240101T000000000000Z.part")
    left_over.write_bytes(b"half a copy")
    with open_catalog(sqlite_config) as catalog:
        assert catalog.count("kept") == 1
        report = catalog.check()
    assert upgrades == ["0001"]
    assert not left_over.exists()
    [copy] = sqlitefile.backups_of(path)
    assert report.backups == (str(copy),)
    assert copy.name.startswith("catalog.db.backup-0000-")
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0000",)]
    assert connection.execute("SELECT path FROM local_files").fetchall() == [("kept.pt",)]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert not list(path.parent.glob(".*.part"))


def test_the_oldest_copies_are_dropped(path: Path, upgrades: list[str]) -> None:
    config = Config(catalog=CatalogSettings(database_url=f"sqlite:///{path}", backups=2))
    names = []
    for _ in range(4):
        make_old(path)
        open_catalog(config).close()
        names.append(sqlitefile.backups_of(path)[0].name)
    assert [copy.name for copy in sqlitefile.backups_of(path)] == [names[3], names[2]]
    assert len(upgrades) == 4


def test_an_upgrade_that_fails_leaves_the_catalog_as_it_was(
    path: Path, sqlite_config: Config, upgrades: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(opened: store.Store) -> None:
        with opened.write() as writer:
            writer.connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
            raise RuntimeError("a script failed")

    monkeypatch.setattr(upgrading, "_run", fail)
    with pytest.raises(RuntimeError, match="a script failed"):
        open_catalog(sqlite_config)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM local_files").fetchone() == (1,)
    assert connection.execute("SELECT * FROM sqlite_master WHERE name = 'half'").fetchall() == []
    connection.close()


def test_processes_that_create_at_once_all_succeed(config: Config) -> None:
    script = """
print("ready", flush=True)
sys.stdin.readline()
with opened(sys.argv[1], 60.0) as catalog:
    put(catalog, sys.argv[2])
print("done")
"""
    url = config.catalog.database_url
    processes = [start(script, url, f"{number}.pt") for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        printed, _ = process.communicate(timeout=100)
        assert printed == "done\n"
    with open_catalog(config) as catalog:
        assert {row.name for row in catalog.list_files()} == {f"{n}.pt" for n in range(4)}
        assert catalog.check(thorough=True).ok


def test_an_up_to_date_catalog_is_listed_without_heavy_imports(sqlite_config: Config) -> None:
    with open_catalog(sqlite_config) as catalog:
        Shelf(catalog).put("a.pt")
    script = """
with opened(sys.argv[1]) as catalog:
    assert len(catalog.list_files()) == 1
heavy = {"sqlalchemy.orm", "sqlalchemy.dialects.postgresql", "alembic", "filelock", "httpx",
         "rich", "psycopg", "numpy", "torch", "modelhub.catalog.recording"}
print(sorted(heavy & set(sys.modules)))
"""
    assert output(script, sqlite_config.catalog.database_url) == "[]\n"
