"""The jobs of this process, on a real catalog and the demo hub: order, limits, steering, end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Civitai, Download, Library, Sidecars
from modelhub.demo.hub import DemoHub, Fault
from modelhub.errors import NoSuchJob, UsageError, WrongJobState
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.ledger import MOST_ENDED, Ledger
from modelhub.services.jobs.local import LocalJobs

PATIENCE = 60.0
W, R, P, D, F, C = (
    JobState.WAITING,
    JobState.RUNNING,
    JobState.PAUSED,
    JobState.DONE,
    JobState.FAILED,
    JobState.CANCELLED,
)


@dataclass
class House:
    """A library with its jobs, and a hub whose storage falls silent when it is told to."""

    config: Config
    hub: DemoHub
    jobs: LocalJobs

    def download(self, name: str, mib: int = 1, **more: object) -> Job:
        file = self.hub.publish_bytes(f"{name}.safetensors", mib)
        return self.ask(f"https://civitai.com/model-versions/{file.version_id}", name, **more)

    def ask(self, reference: str, title: str, **more: object) -> Job:
        values = {"kind": JobKind.DOWNLOAD, "arguments": {"reference": reference}, "title": title}
        return self.jobs.enqueue(JobRequest(**{**values, **more}))  # type: ignore[arg-type]

    def stall(self, name: str = "") -> Fault:
        """Downloads whose file is called so get their first bytes, and then nothing."""
        return self.hub.faults.add(
            Fault(kind="stall", path=name, after=100_000, times=None, server="storage")
        )

    def state(self, job: Job) -> JobState:
        return self.jobs.get(job.id).state

    def until(self, job: Job, *states: JobState) -> Job:
        wait_for(lambda: self.state(job) in states)
        return self.jobs.get(job.id)

    def titles(self, *states: JobState) -> list[str]:
        return [job.title for job in self.jobs.list(states)]

    def files(self) -> list[str]:
        return sorted(path.name for path in Path(self.config.library.root).rglob("*.safetensors"))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def house(hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    config = Config(
        library=Library(root=str(root)),
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        civitai=Civitai(url=hub.url, requests_per_second=1000, cache=False, retries=1, timeout=30),
        download=Download(min_free=0, timeout=30, retries=1, connections=1),
        sidecars=Sidecars(preview=False),
    )
    with LocalJobs(lambda: config, lambda: None) as jobs:
        yield House(config, hub, jobs)
        hub.faults.clear()


def test_a_download_is_done_and_says_where_the_file_is(house: House) -> None:
    job = house.download("lighthouse")
    done = house.until(job, D, F)
    assert done.state is D, done.error
    assert done.result is not None
    assert Path(done.result["path"]).is_file()
    assert done.attempts == 1
    assert done.started is not None
    assert done.ended is not None
    assert done.ended >= done.started >= done.created
    assert done.host
    assert any("version" in line for line in done.log)


def test_what_fails_brings_its_error_and_hint_and_can_be_done_again(house: House) -> None:
    job = house.ask("999999", "nothing of that number")
    failed = house.until(job, D, F)
    assert failed.state is F
    assert "999999" in failed.error
    assert "check the number" in failed.hint
    again = house.jobs.retry(job.id)
    assert again.state in (W, R)
    assert again.error == ""
    assert house.until(job, F).attempts == 2


def test_arguments_that_no_service_takes_are_refused_at_once(house: House) -> None:
    with pytest.raises(UsageError, match="refrence"):
        house.jobs.enqueue(
            JobRequest(kind=JobKind.DOWNLOAD, arguments={"refrence": "1"}, title="mistyped")
        )
    assert house.jobs.list() == []


def test_three_downloads_run_and_the_rest_waits_by_priority(house: House) -> None:
    house.stall("crowd")
    jobs = [house.download(f"crowd{number}") for number in range(5)]
    wait_for(lambda: house.jobs.counts()[R] == 3)
    late = house.download("crowd-late", priority=-1)
    assert house.titles(R) == ["crowd0", "crowd1", "crowd2"]
    assert house.titles(W) == ["crowd-late", "crowd3", "crowd4"]
    house.jobs.prioritise(jobs[4].id, -5)
    assert house.titles(W) == ["crowd4", "crowd-late", "crowd3"]
    house.hub.faults.clear()
    for job in [*jobs, late]:
        assert house.until(job, D, F).state is D


def test_the_same_work_is_one_job_until_it_has_ended(house: House) -> None:
    house.stall("twice")
    job = house.download("twice")
    same = house.ask(job.arguments["reference"], "asked again")
    assert same.id == job.id
    house.hub.faults.clear()
    house.until(job, D)
    assert house.ask(job.arguments["reference"], "once more").id != job.id


def test_a_job_comes_after_another_and_ends_with_it(house: House) -> None:
    house.stall("first")
    first = house.download("first")
    second = house.download("second", after=[first.id])
    third = house.download("third", after=[second.id])
    house.until(first, R)
    assert house.state(second) is W
    house.jobs.cancel(first.id)
    house.until(first, C)
    assert house.until(second, C).error.startswith(f"job {first.id}")
    assert house.until(third, C).hint
    house.hub.faults.clear()
    house.jobs.retry(first.id)
    house.until(first, D)
    house.jobs.retry(second.id)
    assert house.until(second, D, F).state is D


def test_a_job_after_one_that_is_not_there_is_refused(house: House) -> None:
    with pytest.raises(NoSuchJob):
        house.download("orphan", after=["feedbeef00"])


def test_a_running_download_is_paused_and_goes_on_where_it_was(house: House) -> None:
    house.hub.faults.add(
        Fault(kind="stall", path="long", after=3 << 20, times=None, server="storage")
    )
    job = house.download("long", 4)
    wait_for(lambda: house.jobs.get(job.id).progress.done > 1 << 20)
    house.jobs.pause(job.id)
    paused = house.until(job, P)
    assert paused.ended is None
    assert house.files() == []
    house.hub.faults.clear()
    house.hub.forget_requests()
    house.jobs.resume(job.id)
    done = house.until(job, D, F)
    assert done.state is D
    assert done.attempts == 2
    assert done.result is not None
    assert done.result["resumed"] > 0
    assert house.hub.bytes_sent() < 4 << 20


def test_a_pause_that_is_taken_back_at_once_is_no_pause(house: House) -> None:
    house.stall("blink")
    job = house.download("blink")
    house.until(job, R)
    house.jobs.pause(job.id)
    house.jobs.resume(job.id)
    house.hub.faults.clear()
    assert house.until(job, D, F).state is D


def test_a_waiting_job_is_paused_cancelled_and_never_begun(house: House) -> None:
    house.stall("block")
    for number in range(3):
        house.download(f"block{number}")
    paused, cancelled = house.download("kept back"), house.download("unwanted")
    assert house.jobs.pause(paused.id).state is P
    assert house.jobs.cancel(cancelled.id).state is C
    house.hub.faults.clear()
    wait_for(lambda: house.jobs.counts()[D] == 3)
    assert house.state(paused) is P
    assert house.jobs.get(cancelled.id).attempts == 0
    house.jobs.resume(paused.id)
    house.until(paused, D)


def test_a_cancelled_download_stops_and_leaves_what_it_has_to_go_on_from(house: House) -> None:
    house.hub.faults.add(
        Fault(kind="stall", path="halfway", after=2 << 20, times=1, server="storage")
    )
    job = house.download("halfway", 3)
    wait_for(lambda: house.jobs.get(job.id).progress.done > 1 << 20)
    house.jobs.cancel(job.id)
    cancelled = house.until(job, C)
    assert cancelled.error == ""
    assert house.files() == []
    with pytest.raises(WrongJobState, match="cancelled already"):
        house.jobs.pause(job.id)
    house.jobs.retry(job.id)
    done = house.until(job, D, F)
    assert done.result is not None
    assert done.result["resumed"] > 0


def test_what_is_asked_of_a_job_in_the_wrong_state_is_refused(house: House) -> None:
    job = house.download("quick")
    house.until(job, D)
    for asked in (house.jobs.pause, house.jobs.cancel, house.jobs.resume, house.jobs.retry):
        with pytest.raises(WrongJobState, match="is done"):
            asked(job.id)
    with pytest.raises(WrongJobState):
        house.jobs.prioritise(job.id, 1)
    with pytest.raises(WrongJobState):
        house.jobs.clear([R])


def test_a_job_is_found_by_the_beginning_of_its_id(house: House) -> None:
    job = house.download("short")
    assert house.jobs.get(job.id[:6]).id == job.id
    for wrong in ("", job.id[:2], "zzzzzz"):
        with pytest.raises(NoSuchJob):
            house.jobs.get(wrong)


def test_ended_jobs_are_forgotten_when_they_are_cleared(house: House) -> None:
    done, failed = house.download("good"), house.ask("999999", "bad")
    house.until(done, D)
    house.until(failed, F)
    assert house.jobs.clear([D]) == 1
    assert house.titles() == ["bad"]
    assert house.jobs.clear() == 1
    assert house.jobs.list() == []


def test_a_listener_hears_each_state_in_order_and_none_after_it_left(house: House) -> None:
    heard: list[JobState] = []
    leave = house.jobs.subscribe(lambda job: heard.append(job.state))

    def breaks(job: Job) -> None:
        raise RuntimeError("a listener of somebody else")

    house.jobs.subscribe(breaks)
    house.until(house.download("heard"), D)
    wait_for(lambda: heard[-1:] == [D])
    assert list(dict.fromkeys(heard)) == [W, R, D]
    leave()
    number = len(heard)
    house.until(house.download("unheard"), D)
    assert len(heard) == number


def test_closing_stops_what_runs_and_begins_nothing_more(house: House) -> None:
    house.stall("open")
    running, waiting = house.download("open"), None
    for number in range(4):
        waiting = house.download(f"open{number}")
    assert waiting is not None
    house.until(running, R)
    house.jobs.close()
    assert house.state(running) is C
    assert not [one for one in threading.enumerate() if one.name.startswith("job ")]
    house.hub.faults.clear()
    assert house.state(waiting) is W
    with pytest.raises(WrongJobState):
        house.download("too late")


def test_a_key_that_cannot_be_used_fails_the_job_with_its_hint(house: House) -> None:
    from modelhub.errors import KeyFileExposed

    def exposed() -> str | None:
        raise KeyFileExposed("the key file can be read by others", hint="chmod 600")

    with LocalJobs(lambda: house.config, exposed) as jobs:
        job = jobs.enqueue(
            JobRequest(kind=JobKind.DOWNLOAD, arguments={"reference": "78056"}, title="78056")
        )
        wait_for(lambda: jobs.get(job.id).state.ended)
        assert jobs.get(job.id).hint == "chmod 600"


def test_of_very_many_ended_jobs_the_latest_are_remembered() -> None:
    ledger = Ledger()
    for number in range(MOST_ENDED + 5):
        entry, _ = ledger.add(JobRequest(kind=JobKind.HASH, arguments={}, title=str(number)))
        entry.become(state=D)
    ledger.forget_oldest()
    titles = {entry.job.title for entry in ledger}
    assert len(titles) == MOST_ENDED
    assert str(MOST_ENDED + 4) in titles
    assert "0" not in titles
