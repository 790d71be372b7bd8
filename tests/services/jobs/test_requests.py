from __future__ import annotations

import threading
import time

import pytest

from modelhub.config import Config
from modelhub.errors import CatalogTooNew, NoSuchJob, WrongJobState
from modelhub.services.jobs import JobKind, JobState
from modelhub.services.jobs.store import JobRequests, open_jobs
from modelhub.services.jobs.store.tables import schema

from .conftest import Jobs, Titles


def test_a_job_comes_back_as_it_was_asked_for(jobs: Jobs) -> None:
    name = "caf\udce9 \U0001f40b.ckpt"  # as Python spells a name that is no UTF-8
    asked = jobs.ask(name, priority=-3, title=name)

    found = jobs.user.get(asked.id)

    assert found == asked
    assert found.arguments == {"reference": name}
    assert found.title == "caf\\udce9 \U0001f40b.ckpt"
    assert (found.state, found.priority, found.attempts) == (JobState.WAITING, -3, 0)
    assert found.created.tzinfo is not None


def test_the_same_work_is_queued_once_while_it_has_not_ended(jobs: Jobs) -> None:
    first = jobs.ask("78056")
    assert jobs.ask("78056").id == first.id
    assert jobs.ask("78057").id != first.id

    generation = jobs.begin(first)
    assert jobs.ask("78056").id == first.id
    jobs.daemon.done(first.id, generation, {})

    assert jobs.ask("78056").id != first.id


def test_the_same_work_asked_for_by_many_threads_at_once_is_one_job(jobs: Jobs) -> None:
    ids: set[str] = set()
    threads = [
        threading.Thread(target=lambda: ids.add(jobs.ask("same").id), daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 1


def test_jobs_are_listed_running_first_then_in_turn_then_the_last_ended(
    jobs: Jobs, titles: Titles
) -> None:
    runs, ended, later = jobs.ask("runs"), jobs.ask("ended"), jobs.ask("ended later")
    for job in (ended, later):
        jobs.daemon.done(job.id, jobs.begin(job), {})
    jobs.begin(runs)
    jobs.ask("second")
    jobs.ask("third")
    jobs.ask("first", priority=-1)
    jobs.user.pause(jobs.ask("paused").id, attended=False)

    assert titles() == ["runs", "first", "second", "third", "paused", "ended later", "ended"]
    waiting = jobs.user.list([JobState.WAITING], [JobKind.DOWNLOAD], limit=2)
    assert [job.title for job in waiting] == ["first", "second"]
    assert jobs.user.list(kinds=[JobKind.RENDER]) == []
    assert jobs.user.counts()[JobState.WAITING] == 3


def test_a_job_is_found_by_the_beginning_of_its_id(jobs: Jobs) -> None:
    job = jobs.ask("one")
    assert jobs.user.get(job.id[:6]).id == job.id
    for wrong in ("", job.id[:2], "%", "zzzzzz", "no such job"):
        with pytest.raises(NoSuchJob):
            jobs.user.get(wrong)


def test_a_waiting_job_is_cancelled_and_paused_without_any_daemon(jobs: Jobs) -> None:
    job, other = jobs.ask("one"), jobs.ask("two")

    assert jobs.user.cancel(job.id, attended=False).state is JobState.CANCELLED
    assert jobs.user.pause(other.id, attended=False).state is JobState.PAUSED
    assert jobs.daemon.turns(JobKind.DOWNLOAD, 10) == []
    assert jobs.user.resume(other.id).state is JobState.WAITING
    assert [turn.id for turn in jobs.daemon.turns(JobKind.DOWNLOAD, 10)] == [other.id]
    with pytest.raises(WrongJobState, match="cancelled already"):
        jobs.user.pause(job.id, attended=False)
    with pytest.raises(WrongJobState, match="not paused"):
        jobs.user.resume(job.id)


def test_what_was_given_to_the_engine_and_then_paused_is_not_begun(jobs: Jobs) -> None:
    job = jobs.ask("one")
    (turn,) = jobs.daemon.turns(job.kind, 10)
    jobs.daemon.handed([turn])
    jobs.user.pause(job.id, attended=True)

    assert jobs.daemon.begin(turn.id, turn.generation) is None
    jobs.user.resume(job.id)
    assert jobs.daemon.begin(turn.id, turn.generation) is None, "an earlier run has no say"
    (again,) = jobs.daemon.turns(job.kind, 10)
    assert jobs.daemon.begin(again.id, again.generation) is not None


def test_a_running_job_is_told_what_is_wanted_of_it(jobs: Jobs) -> None:
    job = jobs.ask("one")
    runs = {job.id: jobs.begin(job)}

    assert jobs.user.pause(job.id, attended=True).state is JobState.RUNNING
    assert jobs.daemon.wanted(runs) == {job.id: "pause"}
    jobs.user.resume(job.id)
    assert jobs.daemon.wanted(runs) == {}
    jobs.user.cancel(job.id, attended=True)
    assert jobs.daemon.wanted({**runs, "none": 0}) == {job.id: "cancel", "none": "gone"}


def test_a_job_of_a_daemon_that_is_gone_is_cancelled_at_once(jobs: Jobs) -> None:
    job = jobs.ask("one")
    generation = jobs.begin(job)

    assert jobs.user.cancel(job.id, attended=False).state is JobState.CANCELLED
    assert not jobs.daemon.done(job.id, generation, {}), "that run has no say any more"
    assert jobs.user.get(job.id).state is JobState.CANCELLED


def test_only_ended_jobs_are_done_again_and_forgotten(jobs: Jobs, titles: Titles) -> None:
    waits, failed, done = jobs.ask("waits"), jobs.ask("failed"), jobs.ask("done")
    jobs.daemon.failed(failed.id, jobs.begin(failed), "it broke", "mend it")
    jobs.daemon.done(done.id, jobs.begin(done), {"path": "/x"})

    with pytest.raises(WrongJobState, match="nothing to do again"):
        jobs.user.retry(done.id)
    with pytest.raises(WrongJobState, match="cancel them first"):
        jobs.user.clear([JobState.WAITING])
    again = jobs.user.retry(failed.id)
    assert (again.id, again.state, again.error) == (failed.id, JobState.WAITING, "")
    assert jobs.user.clear() == 1
    assert set(titles()) == {"waits", "failed"}
    assert jobs.user.get(waits.id).state is JobState.WAITING


def test_a_retry_of_what_was_asked_for_anew_meanwhile_is_that_one(jobs: Jobs) -> None:
    failed = jobs.ask("same")
    jobs.daemon.failed(failed.id, jobs.begin(failed), "it broke", "")
    anew = jobs.ask("same")

    assert jobs.user.retry(failed.id).id == anew.id
    assert jobs.user.counts()[JobState.WAITING] == 1


def test_a_priority_changes_the_order_also_of_what_the_engine_has(jobs: Jobs) -> None:
    first, second = jobs.ask("first"), jobs.ask("second")
    jobs.daemon.handed(jobs.daemon.turns(first.kind, 10))

    jobs.user.prioritise(second.id, -5)

    (turn,) = jobs.daemon.turns(first.kind, 10)
    assert (turn.id, turn.priority) == (second.id, -5)
    jobs.begin(second)
    with pytest.raises(WrongJobState):
        jobs.user.prioritise(second.id, 1)


def test_jobs_that_come_after_one_that_fails_fail_as_well(jobs: Jobs) -> None:
    pull = jobs.ask("pull")
    convert = jobs.ask("convert", kind=JobKind.CONVERT, after=[pull.id])
    render = jobs.ask("render", kind=JobKind.RENDER, after=[convert.id[:8]])
    assert render.after == (convert.id,)

    jobs.daemon.failed(pull.id, jobs.begin(pull), "it broke", "")

    ended = jobs.user.get(render.id)
    assert ended.state is JobState.FAILED
    assert convert.id in ended.error
    assert "failed" in jobs.user.get(convert.id).error
    with pytest.raises(NoSuchJob):
        jobs.ask("orphan", after=["none"])


def test_jobs_that_come_after_a_cancelled_one_are_cancelled(jobs: Jobs) -> None:
    pull = jobs.ask("pull")
    convert = jobs.ask("convert", kind=JobKind.CONVERT, after=[pull.id])

    jobs.user.cancel(pull.id, attended=False)

    assert jobs.user.get(convert.id).state is JobState.CANCELLED


def test_two_processes_make_one_database(config: Config, jobs: Jobs) -> None:
    job = jobs.ask("one")
    with open_jobs(config) as database:
        assert JobRequests(database).get(job.id) == job


def test_the_jobs_of_a_later_modelhub_are_left_alone(config: Config, jobs: Jobs) -> None:
    with jobs.database.write() as connection:
        connection.execute(schema.update().values(version=99))
    with pytest.raises(CatalogTooNew, match="99"):
        open_jobs(config)


def test_changes_are_told_of_once(jobs: Jobs) -> None:
    job = jobs.ask("one")
    since = jobs.user.last_change()
    assert jobs.user.changed_since(since)[0] == []

    jobs.begin(job)

    changed, since = jobs.user.changed_since(since)
    assert [one.state for one in changed] == [JobState.RUNNING]
    assert jobs.user.changed_since(since)[0] == []


def test_changes_are_told_of_after_the_clock_was_put_back(jobs: Jobs) -> None:
    an_hour_ahead = time.time() + 3600

    job = jobs.ask("78056")

    changed, since = jobs.user.changed_since(an_hour_ahead)
    assert [one.id for one in changed] == [job.id]
    assert since <= time.time()
