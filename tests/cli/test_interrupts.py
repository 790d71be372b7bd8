from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# A command that works until it is told to stop, as services do.
PROGRAM = """
import sys, types, time, click
from modelhub.cli.context import pass_app
from modelhub.cli.run import run
from modelhub.cli.table import COMMANDS, Entry
from modelhub.errors import Cancelled

@click.command()
@click.option("--deaf", is_flag=True)
@pass_app
def command(app, deaf):
    cancel = app.cancel
    print("ready", flush=True)
    while deaf or not cancel.wait(0.2):
        time.sleep(0.05)
    raise Cancelled("stopped after 5 of 9 files")

module = types.ModuleType("m")
module.command = command
sys.modules["modelhub.cli.commands.work"] = module
COMMANDS["work"] = Entry("System", "", "work:command")
sys.exit(run(sys.argv[1:]))
"""


@contextmanager
def started(
    *arguments: str, program: str = PROGRAM, ignored: bool = False
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    if ignored:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_cleanly_and_says_how_to_go_on(
    home: Path, number: signal.Signals
) -> None:
    with started("work") as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.splitlines() == [
        "",
        "modelhub: stopping cleanly; press Ctrl-C again to quit at once",
        "modelhub: stopped after 5 of 9 files",
        "hint: run the same command again to go on from there",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once(home: Path, number: signal.Signals) -> None:
    with started("work", "--deaf") as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "\n"
        assert "stopping cleanly" in process.stderr.readline()
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == -number


def test_a_background_job_that_ignores_ctrl_c_goes_on_doing_so(home: Path) -> None:
    with started("work", ignored=True) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.6)
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_before_any_work_ctrl_c_is_an_ordinary_interrupt(home: Path) -> None:
    program = PROGRAM.replace("cancel = app.cancel", "cancel = app.interrupts.event")
    with started("work", program=program) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == "modelhub: interrupted\n"


def test_a_signal_in_the_middle_of_waiting_for_the_event_does_not_block(home: Path) -> None:
    # The event's lock is held as inside `cancel.wait()`, where nearly all signals arrive.
    program = PROGRAM.replace(
        'print("ready", flush=True)',
        'with cancel._cond: print("ready", flush=True); time.sleep(1)',
    )
    with started("work", program=program) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped after 5 of 9 files" in stderr
