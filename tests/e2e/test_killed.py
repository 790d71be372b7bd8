from __future__ import annotations

import random
import re
import signal
import subprocess
import time

import pytest

from modelhub.demo.hub import Fault
from tests.partials import kept
from tests.patience import SOON, wait_until

from .conftest import Program

MIB = 1 << 20


def test_a_pull_that_is_killed_again_and_again_ends_whole(program: Program) -> None:
    reference, file = program.publish("killed.safetensors", 24)
    program.hub.faults.add(Fault(kind="slow", rate=6 * MIB, times=None))
    seed = random.Random(4)

    kills = 0
    while kills < 8:
        process = program.start("pull", reference, "--connections", "2")
        try:
            process.wait(seed.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    program.hub.faults.clear()
    done = program.run("pull", reference)

    assert done.returncode == 0, done.stderr
    stored = program.hub.stored(file.id or 0)
    assert [path.read_bytes() for path in program.files()] == [stored.path.read_bytes()]
    # Each kill may cost a few MiB per connection, and never the whole again.
    assert program.hub.bytes_sent("storage") <= stored.size + (kills + 1) * 16 * MIB
    listed = program.run("list", "--count")
    assert listed.stdout.strip() == "1"


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(program: Program) -> None:
    reference, file = program.publish("stopped.safetensors", 16)
    program.hub.faults.add(Fault(kind="slow", rate=4 * MIB, times=None))
    process = program.start("pull", reference, "--connections", "1")
    wait_until(lambda: kept(program.root) >= 2 * MIB)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert time.monotonic() - began < SOON
    assert "run the same command again" in err
    assert "Traceback" not in err
    program.hub.faults.clear()
    program.hub.forget_requests()
    done = program.run("pull", reference)
    assert done.returncode == 0, done.stderr
    stored = program.hub.stored(file.id or 0)
    assert program.hub.bytes_sent("storage") < stored.size
    assert "from an earlier run" in done.stderr


def test_two_processes_pull_the_same_file_once(program: Program) -> None:
    reference, file = program.publish("twice.safetensors", 12)
    program.hub.faults.add(Fault(kind="slow", rate=5 * MIB, times=None))

    first, second = program.start("pull", reference), program.start("pull", reference)
    ended = [process.communicate(timeout=60) for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], ended
    assert ended[0][0] == ended[1][0], "both name the same file"
    assert len(program.files()) == 1
    stored = program.hub.stored(file.id or 0)
    assert program.hub.bytes_sent("storage") < 1.5 * stored.size
    assert any("already here" in err for _, err in ended)


@pytest.mark.parametrize(
    "stage", ["resolve", "check space", "download", "verify", "place", "record"]
)
def test_a_kill_in_any_stage_loses_nothing(program: Program, stage: str) -> None:
    reference, file = program.publish(f"stage {stage}.safetensors", 6)
    process = program.start("pull", reference)
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(rf": {stage}\b", line):
            break
    process.kill()
    process.communicate()

    done = program.run("pull", reference)

    assert done.returncode == 0, done.stderr
    stored = program.hub.stored(file.id or 0).path.read_bytes()
    assert [path.read_bytes() for path in program.files()] == [stored]
    assert program.run("list", "--count").stdout.strip() == "1"
    assert program.run("doctor", "--offline").returncode == 0
