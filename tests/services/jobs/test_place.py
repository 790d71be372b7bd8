from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Jobs
from modelhub.errors import DiskError
from modelhub.services.jobs.place import jobs_place, prepare_socket_folder


def test_jobs_are_beside_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path))
    usual = jobs_place(Config())
    assert usual.path == tmp_path / "data" / "jobs.db"
    assert usual.lock == tmp_path / "data" / "daemon.lock"

    other = Config(catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path}/of/friends.db"))
    assert jobs_place(other).path == tmp_path / "of" / "friends-jobs.db"
    assert jobs_place(other).lock != usual.lock
    own = replace(other, jobs=Jobs(database_url=f"sqlite:///{tmp_path}/mine.db"))
    assert jobs_place(own).path == tmp_path / "mine.db"


def test_a_server_has_the_jobs_of_its_catalog_and_a_daemon_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path))
    one, two = (
        jobs_place(Config(catalog=CatalogSettings(database_url=f"postgresql://me:pw@host/{name}")))
        for name in ("one", "two")
    )
    assert one.path is None
    assert one.url.endswith("/one")
    assert one.lock.parent == tmp_path / "data"
    assert one.lock != two.lock
    assert "pw" not in str(one.lock)


def test_a_socket_whose_path_is_too_long_is_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a folder with a long name"] * 6)
    place = jobs_place(Config(catalog=CatalogSettings(database_url=f"sqlite:///{deep}/c.db")))

    assert len(str(place.socket)) <= 100
    assert (
        place.socket
        == jobs_place(Config(catalog=CatalogSettings(database_url=f"sqlite:///{deep}/c.db"))).socket
    )


def test_a_socket_is_not_put_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(DiskError, match="not a folder of this user"):
        prepare_socket_folder(tmp_path / "link" / "daemon.sock")
