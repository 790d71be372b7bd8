"""Hosts that start at the same moment, on a database that has nothing yet."""

from __future__ import annotations

from .conftest import Team
from .test_hosts import is_whole


def test_hosts_that_start_together_on_an_empty_database_all_work(team: Team) -> None:
    hosts = [team.host(name) for name in ("one", "two", "three")]
    processes = [host.popen("daemon", "run", "--quiet") for host in hosts]
    for host, process in zip(hosts, processes, strict=True):
        host.wait_for(process)
    reference, file = hosts[0].publish("first.safetensors")

    is_whole(team, hosts[0].ended(hosts[0].pull(reference)), file)
