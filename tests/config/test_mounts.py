"""Paths of a shared library: one name in the catalog, a place of its own on each host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.catalog.paths import decode_path, encode_path
from modelhub.config.mounts import all_to_catalog, all_to_host, to_catalog, to_host, use_mounts
from modelhub.config.settings import CatalogSettings, Config, Team
from tests.catalog.shelf import blob, local


@pytest.fixture(autouse=True)
def _no_mounts_afterwards() -> Iterator[None]:
    yield
    use_mounts({})


def test_a_path_goes_there_and_back() -> None:
    use_mounts({"/srv/models": "/mnt/nas/models"})
    assert to_catalog("/mnt/nas/models/a.pt") == "/srv/models/a.pt"
    assert to_host("/srv/models/a.pt") == "/mnt/nas/models/a.pt"
    assert to_host(to_catalog("/mnt/nas/models")) == "/mnt/nas/models"


def test_only_whole_names_of_folders_count() -> None:
    use_mounts({"/srv/models/": "/mnt/nas"})
    assert to_host("/srv/models-old/a.pt") == "/srv/models-old/a.pt"
    assert to_catalog("/mnt/nas2/a.pt") == "/mnt/nas2/a.pt"


def test_the_innermost_folder_counts() -> None:
    use_mounts({"/srv": "/mnt/all", "/srv/fast": "/fast"})
    assert to_host("/srv/fast/a.pt") == "/fast/a.pt"
    assert to_host("/srv/slow/a.pt") == "/mnt/all/slow/a.pt"
    assert to_catalog("/fast/a.pt") == "/srv/fast/a.pt"


def test_without_mounts_everything_is_as_it_is() -> None:
    use_mounts({})
    assert to_host("/srv/a") == to_catalog("/srv/a") == "/srv/a"


def test_paths_in_what_a_job_is_asked_with_are_exchanged_and_nothing_else() -> None:
    use_mounts({"/srv/models": "/mnt/nas"})
    given = {"root": "/mnt/nas", "files": ["/mnt/nas/a.pt", "name"], "words": "in /mnt/nas", "n": 1}
    kept = all_to_catalog(given)
    assert kept == {
        "root": "/srv/models",
        "files": ["/srv/models/a.pt", "name"],
        "words": "in /mnt/nas",
        "n": 1,
    }
    assert all_to_host(kept) == given


def test_names_that_are_not_utf_8_survive() -> None:
    use_mounts({"/srv/models": "/mnt/nas"})
    path = Path("/mnt/nas/bad \udcff.pt")
    assert encode_path(path) == "/srv/models/bad //ff.pt"
    assert decode_path(encode_path(path)) == path


def test_two_hosts_see_one_file_in_their_own_places(tmp_path: Path) -> None:
    catalog_at = CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}")
    first = Config(catalog=catalog_at)
    second = Config(catalog=catalog_at, team=Team(mounts={"/srv/models": "/mnt/nas"}))
    with open_catalog(first) as catalog:
        record = local("loras/a.pt", root=Path("/srv/models"))
        number = catalog.record_local_file(record, blob=blob("a"))

    with open_catalog(second) as catalog:
        row = catalog.show(number).row
        assert row.file == Path("/mnt/nas/loras/a.pt")
        assert [one.folder for one in catalog.roots()] == [Path("/mnt/nas")]
        found = catalog.find_local_by_path(Path("/mnt/nas/loras/a.pt"))
        assert found is not None
        assert [one.id for one in catalog.list_files("path:/mnt/nas/loras")] == [number]
        assert catalog.record_local_file(local("loras/a.pt", root=Path("/mnt/nas"))) == number

    with open_catalog(first) as catalog:
        assert [one.path for one in catalog.roots()] == ["/srv/models"]
        assert catalog.show(number).row.file == Path("/srv/models/loras/a.pt")
