from __future__ import annotations

import time

from modelhub.progress import Stage
from modelhub.services.jobs import Job, JobKind, JobProgress, JobState
from modelhub.services.jobs.store.tables import jobs as table

from .conftest import Jobs

KIND = JobKind.DOWNLOAD
ATTEMPTS = 5


def begin_all(jobs: Jobs) -> dict[str, int]:
    """What a daemon begins when it starts: what is due, and one suspect; runs by title."""
    turns = jobs.daemon.turns(KIND, 100)
    suspect = jobs.suspects.turn()
    if suspect is not None:
        turns.append(suspect)
    jobs.daemon.handed(turns)
    handed = jobs.daemon.open_handed()
    begun = [jobs.daemon.begin(job_id, generation) for job_id, generation in handed.items()]
    return {one.job.title: one.generation for one in begun if one is not None}


def cut_off(jobs: Jobs, *, crashed: bool = False) -> dict[str, int]:
    """The daemon is killed, or crashes, and the next one starts."""
    jobs.suspects.account(ATTEMPTS, crashed=crashed, pause=0)
    return begin_all(jobs)


def progress(jobs: Jobs, job: Job, generation: int, done: int) -> None:
    told = JobProgress(stage=Stage.DOWNLOAD, done=done, total=100)
    jobs.daemon.keep_progress(job.id, generation, told, [])


def test_a_job_that_takes_every_daemon_with_it_is_found_among_others(jobs: Jobs) -> None:
    """The daemon ends whenever the poison runs; else it goes on until it has done what it does."""
    poison, *others = [jobs.ask(name) for name in ("poison", "one", "two", "three")]
    running = begin_all(jobs)
    for _ in range(30):
        if not running:
            break
        if poison.title not in running:
            for other in others:
                if other.title in running:
                    jobs.daemon.done(other.id, running[other.title], {})
            running = begin_all(jobs)
        else:
            running = cut_off(jobs, crashed=True)

    found = jobs.user.get(poison.id)
    assert found.state is JobState.FAILED
    assert "ended again and again" in found.error
    assert {jobs.user.get(one.id).state for one in others} == {JobState.DONE}


def test_what_gets_further_each_time_is_never_blamed(jobs: Jobs) -> None:
    job = jobs.ask("large")
    running = begin_all(jobs)
    for done in range(1, 20):
        progress(jobs, job, running["large"], done)
        running = cut_off(jobs)

    assert jobs.user.get(job.id).state is JobState.RUNNING


def test_what_gets_no_further_than_it_had_been_is(jobs: Jobs) -> None:
    job = jobs.ask("stuck")
    running = begin_all(jobs)
    for done in (9, 9, 3, 9, 7, 8):
        progress(jobs, job, running["stuck"], done)
        running = cut_off(jobs, crashed=True)

    assert jobs.user.get(job.id).state is JobState.FAILED


def test_suspects_are_begun_one_at_a_time_the_least_blamed_first(jobs: Jobs) -> None:
    for name in ("one", "two"):
        jobs.ask(name)
    begin_all(jobs)
    assert set(cut_off(jobs)) == {"one", "two"}
    blamed = [set(cut_off(jobs)) for _ in range(4)]

    assert blamed == [{"one"}, {"two"}, {"one"}, {"two"}]


def test_while_a_suspect_runs_nobody_else_is_blamed(jobs: Jobs) -> None:
    suspect = jobs.ask("suspect")
    begin_all(jobs)
    cut_off(jobs)
    jobs.ask("bystander")
    for _ in range(18):
        assert set(cut_off(jobs)) == {"suspect", "bystander"}
    cut_off(jobs)

    assert jobs.user.get(suspect.id).state is JobState.FAILED
    assert [job.title for job in jobs.user.list([JobState.RUNNING])] == ["bystander"]


def test_an_orderly_stop_clears_a_suspect_and_so_does_a_user(jobs: Jobs) -> None:
    job = jobs.ask("one")
    begin_all(jobs)
    cut_off(jobs)
    running = cut_off(jobs)
    assert jobs.daemon.turns(KIND, 9) == []

    jobs.daemon.parked(job.id, running["one"])

    assert [turn.id for turn in jobs.daemon.turns(KIND, 9)] == [job.id]
    assert jobs.suspects.turn() is None


def test_what_a_user_wanted_of_a_run_that_was_cut_off_holds(jobs: Jobs) -> None:
    paused, cancelled = jobs.ask("paused"), jobs.ask("cancelled")
    after = jobs.ask("after", kind=JobKind.CONVERT, after=[cancelled.id])
    begin_all(jobs)
    jobs.user.pause(paused.id, attended=True)
    jobs.user.cancel(cancelled.id, attended=True)

    assert cut_off(jobs) == {}
    assert jobs.user.get(paused.id).state is JobState.PAUSED
    for job in (cancelled, after):
        assert jobs.user.get(job.id).state is JobState.CANCELLED


def test_a_suspect_waits_the_longer_the_more_it_was_blamed(jobs: Jobs) -> None:
    jobs.ask("one")
    begin_all(jobs)
    pauses = []
    for _ in range(3):
        before = time.time()
        jobs.suspects.account(ATTEMPTS, crashed=True, pause=1000)
        assert jobs.suspects.turn() is None
        pauses.append((jobs.daemon.next_try() or 0) - before)
        with jobs.database.write() as connection:
            connection.execute(table.update().values(not_before=0))
        begin_all(jobs)

    assert [round(one, -2) for one in pauses] == [2000, 3600, 3600]


def test_only_what_the_host_that_is_gone_did_is_accounted_for(jobs: Jobs) -> None:
    job = jobs.ask("one")
    begin_all(jobs)
    for _ in range(ATTEMPTS + 1):
        jobs.suspects.account(ATTEMPTS, crashed=True, pause=0, host="another")

    assert jobs.user.get(job.id).state is JobState.RUNNING


def test_a_suspect_of_a_kind_that_only_a_later_modelhub_knows_waits_for_that(jobs: Jobs) -> None:
    """It was begun by a later one, which an older one took the place of."""
    later, suspect = jobs.ask("later"), jobs.ask("suspect")
    with jobs.database.write() as connection:
        connection.execute(table.update().values(cut_offs=2))
        connection.execute(table.update().where(table.c.id == later.id).values(kind="dream"))

    turn = jobs.suspects.turn()

    assert turn is not None
    assert turn.id == suspect.id
    assert jobs.user.get(later.id).state is JobState.WAITING
