"""The Jobs screen, with real downloads from the demo hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import filelock
import pytest

from modelhub.demo.hub import DemoHub, Fault
from modelhub.progress import Stage
from modelhub.services.jobs import Job, JobKind, JobProgress, JobRequest, JobState
from modelhub.services.jobs.place import jobs_place
from modelhub.tui.jobboard import MOST_JOBS
from modelhub.tui.jobs.joblines import listing
from modelhub.tui.screens.jobs import JobDetails
from modelhub.tui.widgets.rows import Rows
from tests.tui.desk import LARGE, SMALL, Desk, Sitting
from tests.tui.stock import told

W, R, P, D, F, C = (
    JobState.WAITING,
    JobState.RUNNING,
    JobState.PAUSED,
    JobState.DONE,
    JobState.FAILED,
    JobState.CANCELLED,
)


pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_faults_left(hub: DemoHub) -> Iterator[None]:
    yield
    hub.faults.clear()


def ask(sitting: Sitting, reference: str, title: str) -> Job:
    request = JobRequest(kind=JobKind.DOWNLOAD, arguments={"reference": reference}, title=title)
    return sitting.app.session.jobs.enqueue(request)


def download(sitting: Sitting, name: str, mib: int = 1) -> Job:
    file = sitting.desk.hub.publish_bytes(f"{name}.safetensors", mib)
    return ask(sitting, f"https://civitai.com/model-versions/{file.version_id}", name)


def stalled(sitting: Sitting, name: str, mib: int = 4) -> Job:
    """A download that falls silent after its first 2 MiB."""
    sitting.desk.hub.faults.add(
        Fault(kind="stall", path=name, after=2 << 20, times=None, server="storage")
    )
    return download(sitting, name, mib)


async def state(sitting: Sitting, job: Job, *states: JobState) -> Job:
    """Wait until the board, which the screen shows, has the job in one of these states."""
    board = sitting.app.board.jobs
    await sitting.until(lambda: job.id in board and board[job.id].state in states)
    return board[job.id]


async def halfway(sitting: Sitting, job: Job) -> None:
    """Wait until a stalled download got more than its first MiB."""
    board = sitting.app.board.jobs
    await sitting.until(lambda: job.id in board and board[job.id].progress.done > 1 << 20)


async def point(sitting: Sitting, job: Job) -> None:
    """Put the cursor on a job."""
    rows = sitting.one(Rows)
    await sitting.until(lambda: job.id in rows.keys)
    rows.go_to(job.id)
    await sitting.until(lambda: rows.key == job.id)


async def test_it_says_who_does_the_jobs_and_that_there_are_none(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        await sitting.sees("no jobs yet", "done by this program")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_download_shows_how_far_it_is_then_where_the_file_went(
    desk: Desk, size: tuple[int, int]
) -> None:
    async with desk.open("jobs", size) as sitting:
        job = stalled(sitting, "slow")
        await halfway(sitting, job)
        await sitting.sees("Running 1", "slow.safetensors", "%", "of 4.0 MiB")
        desk.hub.faults.clear()
        await state(sitting, job, D)
        await sitting.sees("Done 1", "took", "Result", "slow.safetensors")


async def test_failures_stand_before_what_is_done_with_their_hint(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        done, failed = download(sitting, "fine"), ask(sitting, "999999", "no such model")
        await state(sitting, done, D)
        await state(sitting, failed, F)
        await point(sitting, failed)
        await sitting.sees("Failed 1", "knows no model 999999", "check the number")
        text = sitting.text()
        assert text.index("Failed 1") < text.index("Done 1")


async def test_a_running_job_is_paused_and_let_go_on_by_p(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        job = stalled(sitting, "pausing")
        await state(sitting, job, R)
        await point(sitting, job)
        await halfway(sitting, job)
        await sitting.press("p")
        await state(sitting, job, P)
        await sitting.sees("Paused 1")
        desk.hub.faults.clear()
        await sitting.press("p")
        assert (await state(sitting, job, D, F)).state is D


async def test_a_job_is_cancelled_done_again_and_cleared_by_keys(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        job = stalled(sitting, "unwanted")
        await state(sitting, job, R)
        await point(sitting, job)
        await sitting.press("x")
        await state(sitting, job, C)
        await sitting.sees("Cancelled 1")
        desk.hub.faults.clear()
        await point(sitting, job)
        await sitting.press("r")
        await state(sitting, job, D)
        await sitting.press("C")
        await sitting.sees("no jobs yet")
        assert sitting.jobs() == []


async def test_plus_has_a_waiting_job_done_sooner(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        for name in ("one", "two", "three"):
            await state(sitting, stalled(sitting, name), R)
        first, second = download(sitting, "later"), download(sitting, "sooner")
        await point(sitting, second)
        await sitting.press("plus")
        await sitting.sees("priority -1")
        keys = sitting.one(Rows).keys
        assert keys.index(second.id) < keys.index(first.id)
        await sitting.press("x")
        await state(sitting, second, C)


async def test_what_cannot_be_done_with_a_job_is_told(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        job = download(sitting, "quick")
        await state(sitting, job, D)
        await point(sitting, job)
        await sitting.press("p")
        await told(sitting, "is done already")


async def test_names_from_elsewhere_are_shown_escaped(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        job = ask(sitting, "999998", "evil\x1b[31m\u202ename")
        await state(sitting, job, F)
        await sitting.sees("evil\\x1b[31m\\u202ename")


async def test_the_log_is_gone_into_and_left_by_keys(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        job = ask(sitting, "999999", "no such model")
        await state(sitting, job, F)
        await point(sitting, job)
        await sitting.press("enter")
        assert sitting.one(JobDetails).has_focus
        await sitting.press("j", "k", "escape")
        assert sitting.one(Rows).has_focus


async def test_jobs_of_a_daemon_are_shown_and_steered(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        jobs = sitting.app.session.jobs
        with filelock.FileLock(jobs_place(desk.config).lock):
            job = ask(sitting, "78056", "for the daemon")
            assert not jobs.is_here(job.id)
            await sitting.sees("done by the daemon", "Waiting 1", "for the daemon")
            await point(sitting, job)
            await sitting.press("p")
            await state(sitting, job, P)
            await sitting.press("p")
            await state(sitting, job, W)
        await sitting.sees("no daemon runs: 1 job of it wait")
        await sitting.press("x")
        await state(sitting, job, C)


async def test_ten_thousand_events_a_second_leave_it_at_work(desk: Desk) -> None:
    async with desk.open("jobs") as sitting:
        await sitting.until(lambda: sitting.app.session._jobs is not None)
        hear = sitting.app.board._hear
        now = datetime.now(UTC)
        stopped = threading.Event()

        def flood() -> None:
            done = 0
            while not stopped.is_set():
                for _ in range(100):
                    done += 1
                    progress = JobProgress(
                        name="flood", stage=Stage.DOWNLOAD, done=done, total=1 << 40
                    )
                    hear(
                        Job(
                            id=f"{done % 50:010}",
                            kind=JobKind.DOWNLOAD,
                            title="flood",
                            state=R,
                            created=now,
                            started=now,
                            progress=progress,
                        )
                    )
                stopped.wait(0.01)

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        try:
            await sitting.sees("Running 50")
            rows = sitting.one(Rows)
            before = rows.key
            await sitting.press("j")
            await sitting.until(lambda: rows.key != before)
            await sitting.press("question_mark")
            await sitting.sees("pause/resume", "esc closes")
            await sitting.press("escape")
            await sitting.press("1")
            await sitting.until(lambda: sitting.app.current_mode == "library")
        finally:
            stopped.set()
            thread.join()


def test_of_very_many_jobs_only_what_is_on_screen_is_drawn() -> None:
    now = datetime.now(UTC)
    drawn: list[int] = []

    class Counted(str):
        """A title that tells when it is looked at."""

        def __len__(self) -> int:
            drawn.append(1)
            return super().__len__()

    jobs = [
        Job(id=str(number), kind=JobKind.HASH, title=Counted("x"), state=D, created=now, ended=now)
        for number in range(MOST_JOBS)
    ]
    rows = listing(jobs)
    assert len(rows) == MOST_JOBS + 1
    assert not drawn


async def test_a_file_that_vanished_is_a_failure_that_is_told(desk: Desk, tmp_path: Path) -> None:
    async with desk.open("jobs") as sitting:
        gone = tmp_path / "models" / "gone.ckpt"
        job = sitting.app.session.jobs.enqueue(
            JobRequest(kind=JobKind.CONVERT, arguments={"sources": [str(gone)]}, title=gone.name)
        )
        await state(sitting, job, F)
        await point(sitting, job)
        await sitting.sees("Failed 1", "gone.ckpt")
        assert "gone.ckpt" in sitting.app.board.jobs[job.id].error
