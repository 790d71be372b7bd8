"""Claims and leases on a real server: one job, one host, whatever happens at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from modelhub import __version__
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Jobs, Team
from modelhub.errors import CatalogUnreachable, HostNameTaken
from modelhub.services.jobs import Job, JobKind, JobProgress, JobRequest, JobState
from modelhub.services.jobs.store import (
    Claims,
    HostLease,
    JobDatabase,
    JobRequests,
    JobWork,
    hosts_of,
    open_jobs,
)
from tests.catalog.postgres_server import PostgresServer, empty
from tests.daemon.conftest import wait_for

KIND = JobKind.DOWNLOAD
NEW = ("devices", "about")
"""Columns of hosts that an earlier modelhub did not have."""
LONG, OVER = 3600.0, -1.0
"""Leases that do not run out during a test, and that have run out at once."""


def settings(lease: float) -> Config:
    """Those of a host."""
    return Config(jobs=Jobs(attempts=1, backoff=0.0), team=Team(lease=lease))


@dataclass
class Member:
    """A host's side of the database."""

    lease: HostLease
    claims: Claims
    work: JobWork


@dataclass
class Shared:
    """A jobs database on a server."""

    database: JobDatabase
    user: JobRequests
    members: list[Member] = field(default_factory=list)

    def host(self, name: str, seconds: float = LONG, identity: str = "") -> Member:
        lease = HostLease(self.database, name, identity or name, settings(seconds))
        lease.join()
        made = Member(lease, Claims(self.database, lease), JobWork(self.database, name))
        self.members.append(made)
        return made

    def ask(self, name: str, **more: object) -> Job:
        values = {"kind": KIND, "arguments": {"reference": name}, "title": name}
        job, _ = self.user.add(JobRequest(**{**values, **more}))  # type: ignore[arg-type]
        return job


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def shared(url: str) -> Iterator[Shared]:
    config = Config(catalog=CatalogSettings(database_url=url, busy_timeout=20.0))
    with open_jobs(config):
        empty(url)
    with open_jobs(config) as database:
        yield Shared(database, JobRequests(database))


def test_many_hosts_at_once_claim_each_job_once(shared: Shared) -> None:
    asked = {shared.ask(f"job {number}").id for number in range(60)}
    members = [shared.host(f"host {number}") for number in range(4)]
    claimed: list[str] = []
    begin = threading.Barrier(len(members))

    def claim(member: Member) -> None:
        begin.wait()
        while turns := member.claims.claim(KIND, 3):
            claimed.extend(turn.id for turn in turns)

    threads = [threading.Thread(target=claim, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(asked)
    assert set(claimed) == asked


def test_the_most_urgent_are_claimed_first_and_those_with_others_before_them_later(
    shared: Shared,
) -> None:
    host = shared.host("one")
    pull = shared.ask("pull")
    shared.ask("after it", after=[pull.id], priority=-5)
    urgent = shared.ask("urgent", priority=-1)

    first = host.claims.claim(KIND, 10)
    assert [turn.id for turn in first] == [urgent.id, pull.id]
    for turn in first:
        assert host.work.begin(turn.id, turn.generation) is not None
        host.work.done(turn.id, turn.generation, {})

    assert len(host.claims.claim(KIND, 10)) == 1


def test_only_kinds_of_which_something_waits_are_offered(shared: Shared) -> None:
    host = shared.host("one")
    shared.ask("a picture", kind=JobKind.RENDER)

    assert host.claims.offered([JobKind.DOWNLOAD, JobKind.RENDER]) == [JobKind.RENDER]
    assert host.claims.offered([JobKind.DOWNLOAD]) == []


def test_a_dead_host_loses_its_jobs_to_the_others(shared: Shared) -> None:
    dead, heir = shared.host("dead", OVER), shared.host("heir")
    running, waiting = shared.ask("running"), shared.ask("waiting")
    turns = {turn.id: turn for turn in dead.claims.claim(KIND, 2)}
    assert dead.work.begin(running.id, turns[running.id].generation) is not None

    taken = heir.lease.take_over()

    assert {(one.id, one.host) for one in taken} == {(running.id, "dead"), (waiting.id, "dead")}
    assert {turn.id for turn in heir.claims.claim(KIND, 10)} == {running.id, waiting.id}
    assert shared.user.get(running.id).state is JobState.WAITING
    assert heir.lease.living() == ["heir"]


def test_a_host_that_comes_back_says_nothing_more_of_its_jobs(shared: Shared) -> None:
    lost, heir = shared.host("lost", OVER), shared.host("heir")
    job = shared.ask("one")
    (turn,) = lost.claims.claim(KIND, 1)
    assert lost.work.begin(job.id, turn.generation) is not None
    heir.lease.take_over()
    (again,) = heir.claims.claim(KIND, 1)
    assert heir.work.begin(job.id, again.generation) is not None

    lost.work.keep_progress(job.id, turn.generation, JobProgress(done=99), ["stale"])
    assert not lost.work.done(job.id, turn.generation, {"path": "stale"})
    assert not lost.work.failed(job.id, turn.generation, "stale", "")
    assert not lost.work.parked(job.id, turn.generation)
    assert lost.work.begin(job.id, turn.generation) is None

    assert lost.work.wanted({job.id: turn.generation}) == {job.id: "gone"}
    found = shared.user.get(job.id)
    assert (found.state, found.host, found.log) == (JobState.RUNNING, "heir", ())
    assert heir.work.done(job.id, again.generation, {})


def test_a_host_that_was_given_up_claims_nothing_until_it_joins_again(shared: Shared) -> None:
    lost, heir = shared.host("lost", OVER), shared.host("heir")
    heir.lease.take_over()
    shared.ask("one")

    assert not lost.lease.beat()
    assert lost.claims.claim(KIND, 1) == []

    lost.lease.join()
    assert lost.lease.beat()
    assert len(lost.claims.claim(KIND, 1)) == 1


def test_a_host_that_lives_keeps_its_jobs(shared: Shared) -> None:
    host, other = shared.host("one"), shared.host("other")
    shared.ask("job")
    host.claims.claim(KIND, 1)

    assert other.lease.take_over() == []
    assert host.lease.beat()


def test_a_host_that_leaves_gives_its_jobs_up_at_once(shared: Shared) -> None:
    host, other = shared.host("one"), shared.host("other")
    job = shared.ask("job")
    host.claims.claim(KIND, 1)

    host.lease.leave()

    assert [turn.id for turn in other.claims.claim(KIND, 1)] == [job.id]


def test_a_host_frozen_in_the_middle_of_a_write_holds_up_nobody(shared: Shared, url: str) -> None:
    heir = shared.host("heir")
    frozen = shared.host("frozen", OVER)
    job = shared.ask("one")
    (turn,) = frozen.claims.claim(KIND, 1)
    assert frozen.work.begin(job.id, turn.generation) is not None
    brief = Config(catalog=CatalogSettings(database_url=url), team=Team(lease=1.0))

    def freeze(database: JobDatabase) -> None:
        with database.write() as held:
            held.execute(text("UPDATE jobs SET title = 'frozen' WHERE id = :id"), {"id": job.id})
            wait_for(lambda: bool(heir.lease.take_over()), "the server ends what it holds")
            held.execute(text("SELECT 1"))

    with open_jobs(brief) as database, pytest.raises(CatalogUnreachable):
        freeze(database)

    assert [one.id for one in heir.claims.claim(KIND, 1)] == [job.id]
    assert shared.user.get(job.id).title == "one"


def test_two_hosts_of_one_name_are_refused_and_the_same_one_is_not(shared: Shared) -> None:
    shared.host("one", identity="the first")
    with pytest.raises(HostNameTaken, match="another host called one"):
        shared.host("one", identity="the second")

    again = shared.host("one", identity="the first")

    assert again.lease.beat()
    assert not shared.members[0].lease.beat()


def test_a_job_that_ends_host_after_host_is_found_and_left_as_failed(shared: Shared) -> None:
    poison, innocent = shared.ask("poison"), shared.ask("innocent")
    for number in range(2):
        host = shared.host(f"host {number}", OVER)
        for turn in host.claims.claim(KIND, 2):
            assert host.work.begin(turn.id, turn.generation) is not None
        host.lease.take_over()

    host = shared.host("careful", OVER)
    assert host.claims.claim(KIND, 2) == []
    begun = []
    while turns := host.claims.claim_suspect([KIND]):
        (turn,) = turns
        assert host.work.begin(turn.id, turn.generation) is not None
        assert host.claims.claim_suspect([KIND]) == [], "one at a time"
        begun.append(turn.id)
        if turn.id == innocent.id:
            assert host.work.done(turn.id, turn.generation, {})
        else:
            host.lease.take_over()
            host.lease.join()

    assert set(begun) == {poison.id, innocent.id}
    assert shared.user.get(innocent.id).state is JobState.DONE
    failed = shared.user.get(poison.id)
    assert failed.state is JobState.FAILED
    assert "ended again and again" in failed.error


def test_the_same_work_asked_for_at_the_same_moment_is_one_job(shared: Shared) -> None:
    begin = threading.Barrier(4)
    ids: list[str] = []

    def ask() -> None:
        begin.wait()
        ids.append(shared.ask("the same").id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 4
    assert len(set(ids)) == 1


def test_hosts_that_come_at_the_same_moment_make_the_tables_once(postgres: PostgresServer) -> None:
    config = Config(catalog=CatalogSettings(database_url=postgres.new_database()))
    begin = threading.Barrier(4)
    counted: list[int] = []

    def come() -> None:
        begin.wait()
        with open_jobs(config) as database:
            counted.append(sum(JobRequests(database).counts().values()))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted == [0, 0, 0, 0]


def ask_for_picture(shared: Shared, device: str) -> Job:
    wish = {"device": {"device": device}} if device else {}
    arguments = {"files": [f"on {device}"], "wish": wish}
    return shared.ask(f"on {device}", kind=JobKind.RENDER, arguments=arguments)


def test_a_picture_is_made_only_where_the_device_is_that_it_wishes_for(shared: Shared) -> None:
    small, large = shared.host("small"), shared.host("large")
    assert small.claims.offered([JobKind.RENDER]) == []
    wished = {one: ask_for_picture(shared, one).id for one in ("CUDA:1", "cpu", "cuda", "mps", "")}
    assert small.claims.offered([JobKind.RENDER]) == [JobKind.RENDER], "that is when it looks"
    small.lease.renders_on(["cpu"])
    assert [one.id for one in small.claims.claim(JobKind.RENDER, 9)] == [wished["cpu"]], (
        "what wishes for nothing waits for a host that has not looked yet"
    )

    large.lease.renders_on(["cuda", "cuda:1", "cpu"])
    assert small.claims.claim(JobKind.RENDER, 9) == []
    taken = {one.id for one in large.claims.claim(JobKind.RENDER, 9)}
    assert taken == {wished["CUDA:1"], wished["cuda"], wished[""]}

    again, nonsense = ask_for_picture(shared, "").id, ask_for_picture(shared, "gpu 7").id
    large.lease.leave()
    assert {one.id for one in small.claims.claim(JobKind.RENDER, 9)} >= {again, nonsense}, (
        "where no host has more than a processor, one with a processor makes it"
    )
    assert small.claims.offered([JobKind.RENDER]) == [], "the rest waits for its device"


def test_hosts_tell_what_they_are(shared: Shared) -> None:
    shared.host("lost", OVER)
    told = shared.host("told")
    told.lease.renders_on(["cuda", "cpu"])

    lost, host = hosts_of(shared.database)

    assert (lost.name, lost.alive, lost.devices) == ("lost", False, None)
    assert (host.name, host.alive, host.devices) == ("told", True, ("cuda", "cpu"))
    assert (host.version, host.kinds, host.mounts, host.at_work) == (__version__, (), {}, 0)
    assert host.silent < LONG


def test_the_tables_of_an_earlier_modelhub_are_brought_up_to_date(
    postgres: PostgresServer,
) -> None:
    earlier = Config(catalog=CatalogSettings(database_url=postgres.new_database()))
    with open_jobs(earlier) as database:
        asked, _ = JobRequests(database).add(
            JobRequest(
                kind=JobKind.RENDER,
                arguments={"files": ["x"], "wish": {"device": {"device": "cuda"}}},
                title="of before",
            )
        )
        with database.write() as connection:
            for table, column in (("jobs", "devices"), *(("job_hosts", one) for one in NEW)):
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
            connection.execute(text("UPDATE job_schema SET version = 1"))

    with open_jobs(earlier) as database:
        lease = HostLease(database, "now", "now", earlier)
        lease.join()
        lease.renders_on(["cpu"])
        assert Claims(database, lease).claim(JobKind.RENDER, 9) == []
        lease.renders_on(["cuda"])
        assert [one.id for one in Claims(database, lease).claim(JobKind.RENDER, 9)] == [asked.id]
