from __future__ import annotations

import time

from modelhub.services.jobs import JobKind, JobProgress, JobState
from modelhub.services.jobs.store import JobWork

from .conftest import Jobs, Titles

KIND = JobKind.DOWNLOAD


def test_the_engine_gets_few_jobs_at_a_time_the_most_urgent_first(jobs: Jobs) -> None:
    for number in range(6):
        jobs.ask(f"usual {number}")
    first = jobs.daemon.turns(KIND, 4)
    jobs.daemon.handed(first)
    assert len(first) == 4
    assert jobs.daemon.turns(KIND, 4) == []

    urgent = jobs.ask("urgent", priority=-1)

    assert [turn.id for turn in jobs.daemon.turns(KIND, 4)] == [urgent.id]


def test_a_job_waits_for_those_that_it_comes_after(jobs: Jobs) -> None:
    pull, other = jobs.ask("pull"), jobs.ask("other")
    convert = jobs.ask("convert", kind=JobKind.CONVERT, after=[pull.id, other.id])
    jobs.daemon.done(pull.id, jobs.begin(pull), {})
    assert jobs.daemon.turns(JobKind.CONVERT, 10) == []

    jobs.daemon.done(other.id, jobs.begin(other), {})

    assert [turn.id for turn in jobs.daemon.turns(JobKind.CONVERT, 10)] == [convert.id]


def test_a_run_that_was_cut_off_is_begun_again(jobs: Jobs, other_host: JobWork) -> None:
    job = jobs.ask("one")
    generation = jobs.begin(job)

    again = other_host.begin(job.id, generation)

    assert again is not None
    assert (again.job.attempts, again.job.host) == (2, "there")
    assert again.job.progress == JobProgress()


def test_a_next_try_waits_and_a_retry_does_not(jobs: Jobs) -> None:
    job = jobs.ask("one")
    jobs.daemon.try_later(
        job.id, jobs.begin(job), "no connection", "check it", seconds=900, failures=2
    )

    waits = jobs.user.get(job.id)
    assert (waits.state, waits.error) == (JobState.WAITING, "no connection")
    assert jobs.daemon.turns(KIND, 10) == []
    due = jobs.daemon.next_try()
    assert due is not None
    assert 800 < due - time.time() < 1000
    jobs.user.retry(job.id)
    (turn,) = jobs.daemon.turns(KIND, 10)
    begun = jobs.daemon.begin(job.id, turn.generation)
    assert begun is not None
    assert begun.failures == 0


def test_a_next_try_that_is_further_off_than_any_is_due_since_the_clock_was_put_back(
    jobs: Jobs,
) -> None:
    job = jobs.ask("one")
    jobs.daemon.try_later(job.id, jobs.begin(job), "", "", seconds=90_000, failures=1)

    assert [turn.id for turn in jobs.daemon.turns(KIND, 10)] == [job.id]


def test_a_parked_job_goes_on_as_a_new_run(jobs: Jobs) -> None:
    job = jobs.ask("one")
    generation = jobs.begin(job)
    jobs.daemon.parked(job.id, generation)

    assert jobs.user.get(job.id).state is JobState.WAITING
    (turn,) = jobs.daemon.turns(KIND, 10)
    assert turn.generation > generation
    begun = jobs.daemon.begin(job.id, turn.generation)
    assert begun is not None
    assert begun.job.attempts == 2


def test_what_the_engine_lost_is_handed_over_anew(jobs: Jobs) -> None:
    job, done = jobs.ask("one"), jobs.ask("done")
    jobs.begin(job)
    runs = {done.id: jobs.begin(done)}
    handed = jobs.daemon.open_handed()
    assert set(handed) == {job.id, done.id}
    jobs.daemon.done(done.id, runs[done.id], {})

    jobs.daemon.hand_again(handed)

    assert jobs.user.get(done.id).state is JobState.DONE, "it had come to its end meanwhile"
    assert jobs.daemon.open_handed() == {}
    assert [turn.id for turn in jobs.daemon.turns(KIND, 10)] == [job.id]


def test_old_and_surplus_jobs_are_forgotten_but_for_those_that_others_wait_for(
    jobs: Jobs, titles: Titles
) -> None:
    needed = jobs.ask("needed")
    jobs.daemon.done(needed.id, jobs.begin(needed), {})
    for number in range(4):
        job = jobs.ask(f"job {number}")
        jobs.daemon.done(job.id, jobs.begin(job), {})
    jobs.ask("waits", kind=JobKind.CONVERT, after=[needed.id])

    assert jobs.daemon.trim(ended_before=time.time() - 3600, keep=2) == 2
    assert titles() == ["waits", "job 3", "job 2", "needed"]
    assert jobs.daemon.trim(ended_before=time.time() + 1, keep=100) == 2
    assert titles() == ["waits", "needed"]
