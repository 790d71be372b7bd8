"""Jobs as a daemon does them; one daemon for all of these tests."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog import open_catalog
from modelhub.demo.hub import DemoHub, Fault
from modelhub.services.jobs import Job, JobKind, JobRequest, JobState
from modelhub.services.jobs.store import JobWork, open_jobs
from tests.render import tiny

from .conftest import PATIENCE, Library, wait_for

MIB = 1 << 20


@pytest.fixture
def served(served: Library, hub: DemoHub) -> Library:
    """The module's library, on a hub without faults."""
    assert served.hub is hub
    return served


def slow(hub: DemoHub, file_id: int | None, rate: int = MIB) -> None:
    """Let a file come slowly."""
    path = hub.stored(file_id or 0).storage_path
    hub.faults.add(Fault(kind="slow", path=path, rate=rate, times=None))


def test_a_download_is_done_verified_and_catalogued(served: Library) -> None:
    reference, file = served.publish("plain.safetensors", 3)
    job = served.ended(served.pull(reference))

    assert job.state is JobState.DONE, job.error
    assert job.result is not None
    path = Path(job.result["path"])
    assert path.read_bytes() == served.hub.stored(file.id or 0).path.read_bytes()
    assert job.result["verified_by"] == "SHA256"
    assert (job.attempts, job.error) == (1, "")
    assert job.started is not None
    assert job.ended is not None
    assert job.created <= job.started <= job.ended
    assert job.host
    with open_catalog(served.config) as catalog:
        assert catalog.find_local_by_path(path) is not None


def test_progress_is_seen_while_it_runs(served: Library) -> None:
    reference, file = served.publish("progress.safetensors", b"p" * (6 * MIB))
    slow(served.hub, file.id, MIB // 2)
    seen: list[Job] = []
    unsubscribe = served.queue.subscribe(seen.append)
    job = served.pull(reference, arguments={"connections": 1})

    running = served.downloads(job, MIB)
    served.hub.faults.clear()
    served.ended(job)
    wait_for(lambda: any(one.id == job.id and one.state.ended for one in seen), "its end is told")
    unsubscribe()

    assert running.progress.name == "progress.safetensors"
    assert running.progress.total == 6 * MIB
    states = [one.state for one in seen if one.id == job.id]
    assert states[-1] is JobState.DONE
    assert JobState.RUNNING in states


@pytest.mark.parametrize("how", ["cancel", "pause"])
def test_a_running_download_stops_when_told_and_can_go_on(served: Library, how: str) -> None:
    reference, file = served.publish(f"{how}.safetensors", how.encode() * (2 * MIB))
    slow(served.hub, file.id)
    job = served.pull(reference, arguments={"connections": 1})
    served.downloads(job, MIB)

    getattr(served.queue, how)(job.id)
    stopped = JobState.CANCELLED if how == "cancel" else JobState.PAUSED
    found = served.reaches(job, stopped)

    assert found.error == ""
    assert not any(f"{how}.safetensors" == path.name for path in served.models)
    served.hub.faults.clear()
    before = served.hub.bytes_sent("storage")
    getattr(served.queue, "retry" if how == "cancel" else "resume")(job.id)
    done = served.ended(job)
    assert done.state is JobState.DONE, done.error
    size = served.hub.stored(file.id or 0).size
    assert served.hub.bytes_sent("storage") - before < size, "it went on where it was"
    assert done.result is not None
    assert done.result["resumed"] > 0


def test_what_is_not_there_fails_at_once_with_a_reason(served: Library) -> None:
    job = served.ended(served.pull("987654321"))

    assert job.state is JobState.FAILED
    assert "987654321" in job.error
    assert job.hint
    assert job.attempts == 1


def test_what_may_pass_is_tried_again(served: Library) -> None:
    reference, file = served.publish("flaky.safetensors", b"flaky" * MIB)
    path = served.hub.stored(file.id or 0).storage_path
    fault = served.hub.faults.add(Fault(kind="drop", path=path, after=1000, times=2))
    job = served.ended(served.pull(reference, arguments={"connections": 1}))

    assert job.state is JobState.DONE, job.error
    assert fault.hits == 2
    assert job.attempts >= 2


def test_what_does_not_pass_is_given_up_after_some_tries(served: Library) -> None:
    reference, file = served.publish("hopeless.safetensors", b"hopeless" * 1000)
    path = served.hub.stored(file.id or 0).storage_path
    served.hub.faults.add(Fault(kind="server_error", path=path, times=None))
    job = served.ended(served.pull(reference))

    assert job.state is JobState.FAILED
    assert job.attempts == served.config.jobs.attempts
    assert f"tried {job.attempts} times" in job.error


def test_no_more_downloads_run_at_once_than_are_allowed_and_the_urgent_go_first(
    served: Library,
) -> None:
    """Three are let run, slowly; of those that wait, the most urgent begins first."""
    references = []
    for number in range(6):
        reference, file = served.publish(f"many {number}.safetensors", bytes([number]) * (4 * MIB))
        slow(served.hub, file.id, MIB // 16)
        references.append(reference)
    jobs = [served.pull(one, arguments={"connections": 1}) for one in references[:5]]
    for job in jobs[:3]:
        served.reaches(job, JobState.RUNNING)
    urgent = served.pull(references[5], arguments={"connections": 1}, priority=-1)
    with open_jobs(served.config) as database:
        work = JobWork(database, "of a test")
        wait_for(lambda: urgent.id in work.open_handed(), "the engine has it")
    served.hub.faults.clear()
    most = 0

    def all_ended() -> bool:
        nonlocal most
        most = max(most, len(served.queue.list([JobState.RUNNING], [JobKind.DOWNLOAD])))
        found = [served.queue.get(job.id) for job in (*jobs, urgent)]
        return all(one.state.ended for one in found)

    wait_for(all_ended, "all end")
    found = [served.queue.get(job.id) for job in (*jobs, urgent)]
    assert {one.state for one in found} == {JobState.DONE}, [one.error for one in found]
    assert most == 3
    begun = sorted(found, key=lambda one: one.started or one.created)
    assert [one.id for one in begun].index(urgent.id) == 3


def test_a_picture_waits_for_its_conversion_and_that_for_its_download(
    served: Library, tmp_path: Path
) -> None:
    model = tiny.write_sd1(tmp_path / "drawn.safetensors").read_bytes()
    reference, file = served.publish("drawn.safetensors", model)
    path = served.hub.stored(file.id or 0).storage_path
    served.hub.faults.add(Fault(kind="stall", path=path, after=1000, times=None))
    converted = tmp_path / "converted.safetensors"
    source = str(served.folder / "models/checkpoints/drawn.safetensors")
    pull = served.pull(reference)
    convert = served.queue.enqueue(
        JobRequest(
            kind=JobKind.CONVERT,
            title="convert",
            after=[pull.id],
            arguments={
                "sources": [source],
                "request": {"options": {"dtype": "fp16"}, "output": str(converted)},
            },
        )
    )
    asked = served.popen(
        *("render", str(converted), "--prompt", "a cat", "--steps", "1", "--size", "64x64"),
        *("--device", "cpu", "--out", str(tmp_path / "pictures")),
        *("--detach", "--after", convert.id, "--json"),
    )
    out, err = asked.communicate(timeout=PATIENCE)
    assert asked.returncode == 0, err.decode()
    render = served.queue.get(json.loads(out)[0]["id"])
    served.reaches(pull, JobState.RUNNING)
    assert (served.state(convert), served.state(render)) == (JobState.WAITING, JobState.WAITING)
    served.hub.faults.clear()

    done = [served.ended(job) for job in (pull, convert, render)]

    assert {one.state for one in done} == {JobState.DONE}, [one.error for one in done]
    for before, after in pairwise(done):
        assert before.ended is not None
        assert after.started is not None
        assert before.ended <= after.started
    assert done[2].result is not None
    (image,) = done[2].result["images"]
    assert Path(image["path"]).parent == tmp_path / "pictures"
    assert Path(image["path"]).read_bytes().startswith(b"\x89PNG")
    assert image["tested"] == str(converted)


def test_a_job_whose_file_is_gone_fails_and_says_which(served: Library, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.safetensors")
    job = served.queue.enqueue(
        JobRequest(kind=JobKind.CONVERT, arguments={"sources": [gone]}, title="gone")
    )
    ended = served.ended(job)

    assert ended.state is JobState.FAILED
    assert gone in ended.error
    assert ended.attempts == 1


@pytest.mark.parametrize(
    "arguments", [{}, {"reference": 7}, {"reference": "7", "options": {"dry_run": "maybe"}}]
)
def test_a_job_with_wrong_arguments_fails_and_hurts_nobody(
    served: Library, arguments: dict[str, Any]
) -> None:
    request = JobRequest(kind=JobKind.DOWNLOAD, arguments=arguments, title="wrong")
    ended = served.ended(served.queue.enqueue(request))

    assert ended.state is JobState.FAILED
    assert "cannot be done as it was asked for" in ended.error


def test_a_job_of_a_later_modelhub_is_left_for_it(served: Library) -> None:
    request = JobRequest(kind="dream", arguments={}, title="of tomorrow")  # type: ignore[arg-type]
    job = served.queue.enqueue(request)
    served.ended(served.pull("987654321"))

    found = served.queue.get(job.id)
    assert found.state is JobState.WAITING
    assert "needs a newer modelhub" in found.error
    assert "dream" in found.error
    assert "upgrade" in found.hint
    served.queue.cancel(job.id)
    assert served.queue.get(job.id).error == ""


def test_many_users_queue_at_once_and_nothing_is_lost(served: Library) -> None:
    jobs: list[Job] = []

    def ask(number: int) -> None:
        request = JobRequest(
            kind=JobKind.VERIFY, arguments={"query": f"name:none{number % 20}"}, title="nothing"
        )
        jobs.append(served.queue.enqueue(request))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(jobs) == 40
    assert {served.ended(job).state for job in jobs} == {JobState.DONE}
