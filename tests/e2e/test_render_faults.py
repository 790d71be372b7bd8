"""`modelhub render` as a process of its own, with everything going wrong around it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhub.demo.weights.files import system_call
from tests.render import tiny

from .conftest import Program
from .library import Ended, run

ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _one_thread(program: Program) -> None:
    program.variables.update(ONE_THREAD)


@pytest.fixture
def model(program: Program) -> Path:
    return tiny.write_sd1(program.root / "model.safetensors")


def options(out: Path, *more: str) -> list[str]:
    """Of a small picture in two steps."""
    return ["--size", "64x64", "--steps", "2", "--out", str(out), "--prompt", "a cat", *more]


def rendered(program: Program, model: Path, out: Path, *more: str) -> Ended:
    return run(program, "render", str(model), *options(out, *more))


def pictures(folder: Path) -> list[str]:
    """All files below a folder, whatever their names."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def told(ended: Ended) -> str:
    """What was said of a failure, in one piece; no failure may show how the program is made."""
    assert "Traceback" not in ended.err, ended.err
    assert "unexpected" not in ended.err, ended.err
    return " ".join(ended.err.split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--steps", "0"], "step"),
        (["--size", "100x64"], "8"),
        (["--size", "wide"], "wide"),
        (["--sampler", "DPM++ 2N"], "DPM"),
        (["--lora", "nowhere.safetensors:0.8"], "nowhere"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_a_wish_that_makes_no_sense_is_a_mistake_of_the_command(
    more: list[str], words: str, program: Program, model: Path
) -> None:
    out = program.folder / "pictures"
    ended = rendered(program, model, out, *more)
    assert ended.code in (2, 3), ended.err
    assert re.search(words, told(ended)), ended.err
    assert pictures(out) == []


def test_a_pickle_that_would_run_something_is_refused_and_never_runs(program: Program) -> None:
    """With `--allow-unsafe` it is rendered, and does not run either: tests/render shows it."""
    canary, out = program.folder / "canary", program.folder / "pictures"
    bad = tiny.write_sd1(program.root / "bad.ckpt", before=system_call(f"touch {canary}"))
    ended = rendered(program, bad, out)
    assert ended.code == 6
    assert "bad.ckpt" in told(ended)
    assert pictures(out) == []
    assert not canary.exists()


def test_a_disk_that_is_full_when_the_picture_is_written_is_told_and_nothing_is_left(
    program: Program, model: Path
) -> None:
    small = program.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        (small / "ballast").write_bytes(b"\0" * (60 << 10))
        ended = rendered(program, model, small)
        assert ended.code == 7, ended.err
        assert "small" in told(ended)
        assert pictures(small) == ["ballast"]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_folder_that_may_not_be_written_to_is_named(program: Program, model: Path) -> None:
    closed = program.folder / "closed"
    closed.mkdir(mode=0o555)
    ended = rendered(program, model, closed)
    assert ended.code == 7
    assert str(closed) in told(ended)


def test_ctrl_c_while_it_loads_ends_with_130_and_leaves_no_half_picture(
    program: Program, model: Path
) -> None:
    out = program.folder / "pictures"
    with program.start(*_long(model, out)) as process:
        assert process.stderr is not None
        heard = []
        for line in process.stderr:
            heard.append(line)
            if ": load" in line:
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, (heard, err)
    assert "Traceback" not in err
    assert pictures(out) == []
    until_gone(process.pid)


def _long(model: Path, out: Path) -> list[str]:
    """A render that nobody would wait for."""
    return ["render", str(model), *options(out), "--steps", "900"]


def until_gone(parent: int, seconds: float = 20) -> None:
    """Wait until no process that renders for it is left."""
    deadline = time.monotonic() + seconds
    while any(_parent_of(number) == parent for number in _workers()):
        assert time.monotonic() < deadline, "the process that renders lives on"
        time.sleep(0.05)


def _workers() -> list[int]:
    """Processes that render, of anybody."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"modelhub.render.worker" in command:
                found.append(int(entry.name))
    return found


def _parent_of(number: int) -> int:
    try:
        status = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"PPid:\s+(\d+)", status)
    return int(found[1]) if found else 0


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
def test_a_crash_of_torch_ends_the_picture_and_not_the_program(
    program: Program, model: Path
) -> None:
    out = program.folder / "pictures"

    def crash(number: int) -> None:
        os.kill(number, signal.SIGSEGV)

    ended = _with_worker(program, _long(model, out), crash)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "SIGSEGV" in ended.stderr
    assert pictures(out) == []


def _with_worker(
    program: Program, arguments: list[str], act: Callable[[int], None]
) -> subprocess.CompletedProcess[str]:
    """Run the program, and do something to its process that renders once the first step is done."""
    with program.start(*arguments) as process:
        assert process.stderr is not None
        heard = ""
        for line in process.stderr:
            heard += line
            if ": render" in line:
                (worker,) = (one for one in _workers() if _parent_of(one) == process.pid)
                act(worker)
                break
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, heard + err)
