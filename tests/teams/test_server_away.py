"""The server is restarted while hosts work: they wait for it, and go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.catalog.postgres_server import PostgresServer, binaries
from tests.daemon.conftest import wait_for

from .conftest import BRIEF, Team
from .test_hosts import MIB, is_whole, slow, under_way


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed (initdb was not found)")
    with PostgresServer(folder) as running:
        yield running


def test_jobs_go_on_after_the_server_was_restarted_under_load(
    team: Team, postgres: PostgresServer
) -> None:
    one, two = team.host("one"), team.host("two")
    published = [one.publish(f"away {n}.safetensors", b"away %02d" % n * MIB) for n in range(4)]
    for _, file in published:
        slow(team.hub, file)
    processes = [one.start(), two.start()]
    jobs = [one.pull(reference, arguments={"connections": 1}) for reference, _ in published]
    for job in jobs:
        one.downloads(job, MIB)

    postgres.stop()
    postgres.start()
    team.hub.faults.clear()

    for job, (_, file) in zip(jobs, published, strict=True):
        is_whole(team, one.ended(job), file)
    reference, file = one.publish("after the restart.safetensors")
    is_whole(team, one.ended(one.pull(reference)), file)
    assert [process.poll() for process in processes] == [None, None]


def test_a_host_without_its_server_stops_what_others_might_begin(
    team: Team, postgres: PostgresServer
) -> None:
    team.lease = BRIEF
    one = team.host("one")
    _, file = one.publish("unsure.safetensors", b"unsure.." * MIB)
    one.start()
    job = under_way(one, file, "one")

    postgres.stop()
    wait_for(
        lambda: "running jobs are stopped" in one.place.log.read_text(), "it is not sure any more"
    )
    postgres.start()
    team.hub.faults.clear()

    ended = one.ended(job)
    is_whole(team, ended, file)
    assert ended.attempts >= 2
