from __future__ import annotations

import time

import pytest

from modelhub.progress import (
    Advanced,
    Notice,
    Outcome,
    Stage,
    StageEntered,
    Stepped,
    TaskFinished,
    TaskRenamed,
    TaskStarted,
)
from modelhub.services.jobs import JobProgress
from modelhub.services.jobs.progress import LOG_LINES, ProgressFold

MIB = 1 << 20


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told(list[tuple[JobProgress, tuple[str, ...]]]):
    def __call__(self, progress: JobProgress, log: tuple[str, ...]) -> None:
        self.append((progress, log))


def test_events_become_how_far_a_job_is() -> None:
    clock = Clock()
    fold = ProgressFold(Told(), clock=clock)
    fold(TaskStarted("1", "78056"))
    fold(TaskRenamed("1", "cat.safetensors"))
    fold(StageEntered("1", Stage.DOWNLOAD, 8 * MIB))
    for second in range(4):
        clock.now += 1
        fold(Advanced("1", (second + 1) * MIB))

    assert fold.progress.name == "cat.safetensors"
    assert fold.progress.stage is Stage.DOWNLOAD
    assert (fold.progress.done, fold.progress.total) == (4 * MIB, 8 * MIB)
    assert fold.progress.speed == pytest.approx(MIB)


def test_what_was_there_before_does_not_count_for_the_speed() -> None:
    clock = Clock()
    fold = ProgressFold(Told(), clock=clock)
    fold(StageEntered("1", Stage.DOWNLOAD, 100 * MIB))
    fold(Advanced("1", 90 * MIB, resumed=90 * MIB))
    clock.now += 2
    fold(Advanced("1", 92 * MIB, resumed=90 * MIB))

    assert fold.progress.speed == pytest.approx(MIB)


def test_the_speed_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    fold = ProgressFold(Told(), clock=clock)
    fold(StageEntered("1", Stage.HASH))
    for number in range(60):
        clock.now += 1
        fold(Advanced("1", min(number, 30) * MIB))

    assert fold.progress.speed == 0


def test_changes_are_told_a_few_times_a_second_and_the_last_by_a_flush() -> None:
    clock, told = Clock(), Told()
    fold = ProgressFold(told, every=250, clock=clock)
    for number in range(1000):
        clock.now += 1
        fold(Advanced("1", number))
    assert 2 <= len(told) <= 5

    fold.flush()
    fold.flush()

    assert told[-1][0].done == 999
    assert len(told) <= 6


def test_the_last_event_before_a_silence_is_told_too() -> None:
    told = Told()
    fold = ProgressFold(told, every=0.05)
    fold(TaskStarted("1", "cat"))
    fold(StageEntered("1", Stage.DOWNLOAD, 8))

    deadline = time.monotonic() + 30
    while told[-1][0].stage is None and time.monotonic() < deadline:
        time.sleep(0.01)

    assert told[-1][0].stage is Stage.DOWNLOAD


def test_of_a_job_that_ends_at_once_nothing_is_told_between() -> None:
    clock, told = Clock(), Told()
    fold = ProgressFold(told, every=2, clock=clock, pulsed=True)
    fold(TaskStarted("1", "cat"))
    fold.beat()
    assert not told
    clock.now += 3

    fold.beat()
    fold.beat()

    assert [progress.name for progress, _ in told] == ["cat"]
    fold(StageEntered("1", Stage.DOWNLOAD, 8))
    fold.close()
    clock.now += 3
    fold.beat()
    assert len(told) == 1


def test_notices_and_ends_are_the_log() -> None:
    fold = ProgressFold(Told())
    fold(TaskStarted("1", "cat"))
    fold(Notice("1", "the published primary file"))
    fold(Notice("1", "no preview", warning=True))
    fold(TaskFinished("1", Outcome.DONE, "/models/cat"))

    assert fold.log == ("the published primary file", "warning: no preview", "cat: /models/cat")
    assert fold.progress.text == "cat: /models/cat"
    for number in range(2 * LOG_LINES):
        fold(Notice("1", str(number)))
    assert len(fold.log) == LOG_LINES


def test_of_several_pictures_the_one_at_work_is_shown() -> None:
    fold = ProgressFold(Told())
    fold(TaskStarted("0", "fp32"))
    fold(TaskStarted("1", "fp16"))
    fold(StageEntered("0", Stage.RENDER))
    fold(Stepped("0", 3, 20, b"png"))

    assert (fold.progress.name, fold.progress.done, fold.progress.total) == ("fp32", 3, 20)
