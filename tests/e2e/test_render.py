"""`modelhub render` as a process of its own: Ctrl-C, and what is left when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.render import tiny

pytestmark = pytest.mark.timeout(240)


def started(home: Path, model: Path) -> subprocess.Popen[str]:
    """A render of two seeds; the second is at its steps when "seed 2: render" is told."""
    command = [sys.executable, "-m", "modelhub", "render", str(model), "--prompt", "a cat"]
    command += ["--size", "64x64", "--steps", "300", "--compare", "seed=1,2"]
    return subprocess.Popen(
        command,
        env=os.environ | {"MODELHUB_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], words: str) -> list[str]:
    """What it says until then."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return said
    raise AssertionError("".join(said))


def children_of(number: int) -> list[int]:
    text = Path(f"/proc/{number}/task/{number}/children").read_text()
    return [int(one) for one in text.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_render_leaves_no_process_and_no_half_picture(tmp_path: Path) -> None:
    model = tiny.write_sd1(tmp_path / "model.safetensors")
    home = tmp_path / "home"
    with started(home, model) as process:
        wait_for(process, "seed 1: render")
        workers = children_of(process.pid)
        assert workers
        process.kill()
        process.wait(30)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.1)
    assert not [path for path in home.rglob("renders/*/*") if path.is_file()]


def test_ctrl_c_stops_within_a_step_and_keeps_what_was_finished(tmp_path: Path) -> None:
    model = tiny.write_sd1(tmp_path / "model.safetensors")
    home = tmp_path / "home"
    with started(home, model) as process:
        wait_for(process, "seed 2: render")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    [kept] = home.rglob("renders/*/*.png")
    assert out.splitlines() == [str(kept)]
    assert "1 picture not made; kept: 1 picture" in err
    assert "Traceback" not in err
