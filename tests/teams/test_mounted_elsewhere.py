"""Hosts with kinds of jobs of their own, and a folder that they mount in different places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.config.mounts import use_mounts
from modelhub.services.jobs import JobKind, JobRequest

from .conftest import Team


@pytest.fixture(autouse=True)
def _no_mounts_afterwards() -> Iterator[None]:
    yield
    use_mounts({})


def test_each_host_does_its_kinds_where_it_has_the_folder(team: Team, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mnt"
    elsewhere.symlink_to(team.shared, target_is_directory=True)
    one = team.host("one", MODELHUB_TEAM_KINDS="verify")
    two = team.host(
        "two",
        MODELHUB_TEAM_KINDS="download",
        MODELHUB_TEAM_MOUNTS=f"{team.shared}={elsewhere}",
        MODELHUB_LIBRARY_ROOT=str(elsewhere),
    )
    one.start()
    two.start()
    reference, _ = one.publish("mounted.safetensors")
    use_mounts({})
    pull = one.ended(one.pull(reference, arguments={"root": str(team.shared)}))
    assert pull.result is not None, pull.error
    assert (pull.host, Path(pull.result["path"]).parent.parent) == ("two", team.shared)

    asked = JobRequest(kind=JobKind.VERIFY, arguments={}, title="verify")
    check = one.ended(one.queue.enqueue(asked))
    assert check.result is not None, check.error
    assert (check.host, check.result["ok"]) == ("one", 1)

    with open_catalog(one.config) as catalog:
        assert [row.path for row in catalog.roots()] == [str(team.shared)]
        (row,) = catalog.list_files()
        assert row.file == Path(pull.result["path"])
    with open_catalog(two.config) as catalog:
        (row,) = catalog.list_files()
        assert row.file == elsewhere / row.path
