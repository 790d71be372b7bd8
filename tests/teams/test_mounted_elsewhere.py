"""Hosts with kinds of jobs of their own, and a folder that they mount in different places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import open_catalog
from modelhub.config.mounts import use_mounts
from modelhub.services.jobs import JobKind, JobRequest, JobState
from tests.daemon.conftest import PATIENCE

from .conftest import Team


@pytest.fixture(autouse=True)
def _no_mounts_afterwards() -> Iterator[None]:
    yield
    use_mounts({})


def test_each_host_does_its_kinds_where_it_has_the_folder_and_the_device(
    team: Team, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "mnt"
    elsewhere.symlink_to(team.shared, target_is_directory=True)
    one = team.host("one", MODELHUB_TEAM_KINDS="verify,render", MODELHUB_TEAM_DEVICES="cpu")
    two = team.host(
        "two",
        MODELHUB_TEAM_KINDS="download,render",
        MODELHUB_TEAM_DEVICES="cuda:1,cpu",
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

    # What there is to render is gone, which the host finds out whose turn it is.
    for device, host in (("cpu:0", ("one", "two")), ("cuda:1", ("two",)), ("", ("two",))):
        arguments = {"files": ["/gone"], "wish": {"device": {"device": device or None}}}
        asked = JobRequest(kind=JobKind.RENDER, arguments=arguments, title=f"on {device}")
        ended = one.ended(one.queue.enqueue(asked))
        assert "/gone" in ended.error
        assert ended.host in host
    far = JobRequest(
        kind=JobKind.RENDER,
        arguments={"files": ["/gone"], "wish": {"device": {"device": "mps"}}},
        title="on what nobody has",
    )
    waiting = one.queue.enqueue(far)

    listing = one.popen("daemon", "hosts", "--json")
    out, err = listing.communicate(timeout=PATIENCE)
    assert listing.returncode == 0, err.decode()
    found = {told["name"]: told for told in json.loads(out)}
    assert {name: told["devices"] for name, told in found.items()} == {
        "one": ["cpu"],
        "two": ["cuda:1", "cpu"],
    }
    assert found["two"]["mounts"] == {str(team.shared): str(elsewhere)}
    assert found["one"]["alive"]
    assert one.state(waiting) is JobState.WAITING
