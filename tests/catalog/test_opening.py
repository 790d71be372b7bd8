"""Opening a catalog: made whole or not at all; damage, locks and rights have their own errors."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.catalog.revision import HEAD
from modelhub.catalog.sqlitefile import wal_of
from modelhub.config.settings import CatalogSettings, Config
from modelhub.errors import (
    CatalogCorrupt,
    CatalogError,
    CatalogLocked,
    CatalogTooNew,
    CatalogUnreachable,
    ConfigError,
    ModelhubError,
)

from .processes import output
from .shelf import Shelf


def at(url: str, patience: float = 1.0) -> Config:
    return Config(catalog=CatalogSettings(database_url=url, busy_timeout=patience))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog of three files, closed."""
    path = tmp_path / "catalog.db"
    with open_catalog(at(f"sqlite:///{path}")) as catalog, catalog.transaction():
        for number in range(3):
            Shelf(catalog).put(f"file{number}.pt")
    return path


def open_at(path: Path, patience: float = 1.0) -> int:
    with open_catalog(at(f"sqlite:///{path}", patience)) as catalog:
        return len(catalog.list_files("file"))


def test_a_catalog_is_made_with_its_folders(tmp_path: Path) -> None:
    assert open_at(tmp_path / "a" / "b #?%41" / "c.db") == 0
    assert not list(tmp_path.rglob("*.new-*"))


def test_a_catalog_is_not_made_when_it_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        open_catalog(at(f"sqlite:///{tmp_path / 'none.db'}"), create=False)
    assert list(tmp_path.iterdir()) == []


def test_remains_of_a_killed_creation_are_swept_away(tmp_path: Path) -> None:
    left_over = tmp_path / ".catalog.db.new-123"
    left_over.write_bytes(b"half a catalog")
    assert open_at(tmp_path / "catalog.db") == 0
    assert not left_over.exists()


def test_an_empty_file_is_no_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.touch()
    with pytest.raises(CatalogCorrupt, match="empty file"):
        open_at(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"x", b"SQLite format 3\0", b"<html>" * 1000, b"\0" * 9000])
def test_a_file_of_something_else_is_no_catalog(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(content)
    with pytest.raises(CatalogCorrupt, match="is no catalog"):
        open_at(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogCorrupt, match="none of its tables"):
        open_at(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 7")
    connection.close()
    with pytest.raises(CatalogCorrupt, match="another program"):
        open_at(path)
    assert path.stat().st_size == len(before)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_catalog_that_is_cut_short_is_damaged(path: Path, part: float) -> None:
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(CatalogCorrupt, match="cut short"):
        open_at(path)


def test_garbage_in_its_pages_is_damage_and_never_another_error(path: Path) -> None:
    whole = path.read_bytes()
    found = 0
    for start in range(100, len(whole) - 40_000, 40_000):
        path.write_bytes(whole[:start] + b"\xa5" * 40_000 + whole[start + 40_000 :])
        try:
            with open_catalog(at(f"sqlite:///{path}")) as catalog:
                catalog.list_files("file")
                found += not catalog.check(thorough=True).ok
        except CatalogCorrupt:
            found += 1
    assert found >= 5


def test_a_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(ModelhubError, match="cannot be read"):
        open_at(tmp_path)


def test_a_catalog_of_a_newer_modelhub_is_left_untouched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogTooNew, match=rf"9999.*{HEAD}"):
        open_at(path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.backup-*"))


def test_a_lock_that_lasts_too_long_is_named(path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with open_catalog(at(f"sqlite:///{path}", 0.3)) as catalog:
        assert len(catalog.list_files()) == 3
        with pytest.raises(CatalogLocked, match=r"locked by another process"):
            catalog.rate("file0", 3)
        holder.execute("ROLLBACK")
        assert catalog.rate("file0", 3).blobs == 1
    holder.close()


READ_AND_WRITE = """
with opened(sys.argv[1]) as catalog:
    print(len(catalog.list_files("file")), catalog.read_only)
    try:
        catalog.rate("file", 3)
    except ModelhubError as error:
        print(type(error).__name__)
    print(catalog.check(thorough=True).ok)
"""


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that tests take the right to write away from."""
    folder = tmp_path / "closed"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only_catalogs_are_read_and_not_written(
    path: Path, closed_folder: Path, what: str
) -> None:
    copy = closed_folder / "catalog.db"
    shutil.copy(path, copy)
    (copy if what == "file" else closed_folder).chmod(0o555)
    printed = output(READ_AND_WRITE, f"sqlite:///{copy}", bound=True)
    assert printed.split() == ["3", "True", "CatalogReadOnly", "True"]


REFUSED = """
try:
    opened(sys.argv[1])
except ModelhubError as error:
    print(type(error).__name__, error.hint)
"""


def test_a_read_only_catalog_with_unmerged_changes_says_so(path: Path, closed_folder: Path) -> None:
    copy = closed_folder / "catalog.db"
    shutil.copy(path, copy)
    wal_of(copy).write_bytes(b"x" * 100)
    closed_folder.chmod(0o555)
    printed = output(REFUSED, f"sqlite:///{copy}", bound=True)
    assert printed.startswith("CatalogReadOnly open it once")


def test_no_catalog_can_be_made_in_a_read_only_folder(closed_folder: Path) -> None:
    closed_folder.chmod(0o555)
    url = f"sqlite:///{closed_folder / 'new' / 'catalog.db'}"
    assert output(REFUSED, url, bound=True).startswith("CatalogReadOnly check the rights")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "no database URL"),
        ("mysql://u:secret@host/x", "mysql is not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///~no_such_user/x", "user that is not there"),
        ("postgresql://u:secret@host:port/x", "no database URL"),
    ],
)
def test_a_database_url_that_is_none_is_a_mistake_in_the_settings(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_catalog(at(url))
    assert "secret" not in caught.value.message


def test_no_password_is_in_any_error(postgres: object) -> None:
    port = getattr(postgres, "port", 0)
    for address in (f"127.0.0.1:{port}/no_such_database", "127.0.0.1:1/x"):
        for scheme in ("postgresql", "postgresql+psycopg"):
            url = f"{scheme}://modelhub:s3cr3t@{address}?password=s3cr3t"
            with pytest.raises(CatalogUnreachable) as caught:
                open_catalog(at(url))
            error: BaseException | None = caught.value
            while error is not None:
                assert "s3cr3t" not in f"{error} {error!r} {getattr(error, 'hint', '')}"
                error = error.__cause__
            assert address.partition(":")[0] in caught.value.message


def test_the_shown_name_of_a_database_has_no_password(
    postgres: object, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").new_database()
    with open_catalog(at(url.replace("modelhub@", "modelhub:s3cr3t@"))) as catalog:
        assert "s3cr3t" not in catalog.database
        assert catalog.path is None
        assert "s3cr3t" not in str(catalog.check())
