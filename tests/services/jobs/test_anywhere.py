"""Jobs of the daemon and of this process in one list: who gets them, and who is steered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Civitai, Library
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.anywhere import JobsAnywhere
from modelhub.services.jobs.place import jobs_place

PATIENCE = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def asked(jobs: JobsAnywhere, title: str, **more: object) -> Job:
    values = {"kind": JobKind.UPDATES, "arguments": {"query": title}, "title": title}
    return jobs.enqueue(JobRequest(**{**values, **more}))  # type: ignore[arg-type]


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    (tmp_path / "models").mkdir()
    return Config(
        library=Library(root=str(tmp_path / "models")),
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        civitai=Civitai(url="http://127.0.0.1:9", cache=False, retries=0),
    )


@pytest.fixture
def both(own_config: Config) -> Iterator[JobsAnywhere]:
    with JobsAnywhere(lambda: own_config, lambda: None) as queue:
        yield queue


@pytest.fixture
def daemon_lock(own_config: Config, both: JobsAnywhere) -> filelock.BaseFileLock:
    """What a daemon holds as long as it runs."""
    return filelock.FileLock(jobs_place(own_config).lock)


def test_without_a_daemon_this_process_does_it(both: JobsAnywhere) -> None:
    assert not both.daemon_runs
    job = asked(both, "here")
    assert both.is_here(job.id)
    wait_for(lambda: both.get(job.id).state.ended)
    assert both.get(job.id).state is JobState.DONE


def test_a_daemon_that_runs_gets_the_job_and_is_steered(
    both: JobsAnywhere, daemon_lock: filelock.BaseFileLock
) -> None:
    with daemon_lock:
        assert both.daemon_runs
        job = asked(both, "there")
        assert not both.is_here(job.id)
        assert both.get(job.id).state is JobState.WAITING
        assert both.prioritise(job.id, -3).priority == -3
        assert both.pause(job.id).state is JobState.PAUSED
        assert both.resume(job.id).state is JobState.WAITING
        assert both.cancel(job.id).state is JobState.CANCELLED
        assert both.retry(job.id).state is JobState.WAITING


def test_both_are_listed_told_of_counted_and_cleared(
    both: JobsAnywhere, daemon_lock: filelock.BaseFileLock
) -> None:
    heard: dict[str, JobState] = {}
    leave = both.subscribe(lambda job: heard.__setitem__(job.id, job.state))
    with daemon_lock:
        there = asked(both, "there")
    # The daemon is gone: what it had waits for the next one, and new work is done here.
    here = asked(both, "here")
    wait_for(lambda: both.get(here.id).state.ended)
    assert [job.title for job in both.list()] == ["there", "here"]
    assert both.counts()[JobState.WAITING] == 1
    both.cancel(there.id)
    wait_for(lambda: heard.get(there.id) is JobState.CANCELLED)
    wait_for(lambda: heard.get(here.id) is JobState.DONE)
    leave()
    assert both.preview(there.id) == b""
    assert both.clear() == 2
    assert both.list() == []
