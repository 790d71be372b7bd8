"""Daemons as hosts of one library: killed, cut off and brought back, and what their files show."""

from __future__ import annotations

import json
import signal
from hashlib import sha256
from pathlib import Path

from modelhub.catalog import open_catalog
from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.published import PublishedFile
from modelhub.services.jobs import Job, JobState
from tests.daemon.conftest import PATIENCE, wait_for

from .conftest import BRIEF, Host, Team

MIB = 1 << 20
OF_78056 = 97_301
"""The file of the demo's model 78056 that is pulled where none is chosen."""


def slow(hub: DemoHub, file: PublishedFile, rate: int = MIB) -> None:
    """Let a file come slowly."""
    path = hub.stored(file.id or 0).storage_path
    hub.faults.add(Fault(kind="slow", path=path, rate=rate, times=None))


def is_whole(team: Team, job: Job, file: PublishedFile) -> None:
    """The job's file is there once, as published, and in the catalog once."""
    assert job.state is JobState.DONE, job.error
    assert job.result is not None
    path = Path(job.result["path"])
    data = team.hub.stored(file.id or 0).path.read_bytes()
    assert path.read_bytes() == data
    assert [one for one in team.files if one.name.startswith(path.stem)] == [path]
    with open_catalog(team.hosts[0].config) as catalog:
        assert len(catalog.find_local_by_sha256(sha256(data).hexdigest().upper())) == 1


def under_way(host: Host, file: PublishedFile, name: str) -> Job:
    """A slow download that some host is in the middle of."""
    slow(host.hub, file)
    job = host.pull(
        f"https://civitai.com/model-versions/{file.version_id}",
        arguments={"connections": 1},
    )
    found = host.downloads(job, MIB)
    assert found.host == name
    return job


def test_hosts_share_the_jobs_and_each_is_done_once(team: Team) -> None:
    one, two = team.host("one"), team.host("two")
    published = [one.publish(f"shared {n}.safetensors", f"{n}".encode() * 5000) for n in range(8)]
    jobs = [one.pull(reference) for reference, _ in published]
    same = two.pull(published[0][0])
    assert same.id == jobs[0].id, "asked for on two hosts, it is one job"
    one.start()
    two.start()

    for job, (_, file) in zip(jobs, published, strict=True):
        ended = one.ended(job)
        is_whole(team, ended, file)
        assert ended.attempts == 1
        assert ended.host in ("one", "two")


def test_a_detached_pull_whose_host_is_killed_is_finished_by_the_other_where_it_was(
    team: Team,
) -> None:
    """As the guide has it: `modelhub pull 78056 --detach`, and one of two hosts dies midway."""
    team.lease = BRIEF
    one, two = team.host("one"), team.host("two")
    file = team.hub.stored(OF_78056).file
    slow(team.hub, file)
    running = {"one": one.start(), "two": two.start()}
    asked = one.popen("pull", "78056", "--detach", "--json", "--connections", "1")
    out, err = asked.communicate(timeout=PATIENCE)
    assert asked.returncode == 0, err.decode()
    (job,) = [one.queue.get(found["id"]) for found in json.loads(out)]
    first = one.downloads(job, MIB).host
    second = "two" if first == "one" else "one"

    one.kill(running[first])
    wait_for(lambda: one.queue.get(job.id).host == second, "the other host takes it over")
    team.hub.faults.clear()
    ended = one.ended(job)

    is_whole(team, ended, file)
    assert ended.host == second
    assert ended.attempts >= 2
    assert ended.result is not None
    assert ended.result["resumed"] > 0
    assert ended.result["verified_by"] == "SHA256"


def test_a_host_that_was_cut_off_lets_go_of_what_others_have_taken_over(team: Team) -> None:
    team.lease = BRIEF
    one, two = team.host("one"), team.host("two")
    _, file = one.publish("fenced.safetensors", b"fenced!!" * MIB)
    process = one.start()
    job = under_way(one, file, "one")
    two.start()

    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: one.queue.get(job.id).host == "two", "the other host takes it over")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: "taken for dead" in one.place.log.read_text(), "it notices")
    team.hub.faults.clear()
    ended = one.ended(job)

    is_whole(team, ended, file)
    assert ended.attempts >= 2
    again, other = one.publish("afterwards.safetensors")
    is_whole(team, one.ended(one.pull(again)), other)
    assert process.poll() is None, "it goes on as a host"


def test_a_host_that_stops_leaves_its_jobs_to_the_others_at_once(team: Team) -> None:
    one, two = team.host("one"), team.host("two")
    _, file = one.publish("left.safetensors", b"left....." * MIB)
    process = one.start()
    job = under_way(one, file, "one")
    two.start()

    one.stop(process)
    team.hub.faults.clear()
    ended = one.ended(job)

    is_whole(team, ended, file)
    assert ended.host == "two"


def test_a_running_job_is_cancelled_from_another_host(team: Team) -> None:
    one = team.host("one")
    _, file = one.publish("cancelled.safetensors", b"cancelled" * MIB)
    one.start()
    job = under_way(one, file, "one")

    one.queue.cancel(job.id)

    wait_for(lambda: "job stopped" in one.place.log.read_text(), "it stops")
    assert one.state(job) is JobState.CANCELLED


def test_a_second_host_of_the_same_name_is_refused(team: Team) -> None:
    team.host("one").start()
    process = team.host("one").popen("daemon", "run", "--quiet")

    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "another host called one" in err.decode()
    assert "[team]" in err.decode()


def test_a_host_killed_at_work_loses_no_job_and_damages_no_file(team: Team) -> None:
    team.lease = BRIEF
    hosts = [team.host("one"), team.host("two"), team.host("three")]
    published = [
        hosts[0].publish(f"load {n}.safetensors", f"load {n:02}".encode() * (MIB // 4))
        for n in range(8)
    ]
    for _, file in published:
        slow(team.hub, file, 2 * MIB)
    processes = [host.start() for host in hosts]
    jobs = [hosts[0].pull(reference) for reference, _ in published]
    wait_for(
        lambda: {hosts[0].queue.get(job.id).host for job in jobs} >= {"one", "two"},
        "both have something to do",
    )

    hosts[0].kill(processes[0])
    team.hub.faults.clear()

    for job, (_, file) in zip(jobs, published, strict=True):
        is_whole(team, hosts[0].ended(job), file)
    restarted = hosts[0].start()
    hosts[0].stop(restarted)
    assert {hosts[0].state(job) for job in jobs} == {JobState.DONE}
