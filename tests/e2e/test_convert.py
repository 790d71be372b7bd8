"""`modelhub convert` as a process of its own, with everything going wrong around it."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhub.formats.reading import read_header
from tests.hostile_files import safetensors, tensor
from tests.pickle_aims import Aim
from tests.pickle_tricks import TRICKS, write_tricks
from tests.services.convert.checkpoints import write_checkpoint

from .conftest import Program
from .library import run

WATCHER = """
import os, sys
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
EVENTS = {"os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
          "pty.spawn", "subprocess.Popen", "socket.connect", "socket.bind", "webbrowser.open",
          "ctypes.dlopen"}
def watch(event, arguments):
    if event in EVENTS and (event, arguments) != ("ctypes.dlopen", (None,)):
        os.write(log, f"{event} {arguments}\\n".encode())
from modelhub.__main__ import main
sys.argv[0] = "modelhub"
sys.addaudithook(watch)
sys.exit(main())
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port on loopback to which nobody should connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(program: Program, name: str = "model.ckpt", **wishes: Any) -> Path:
    path = program.root / name
    write_checkpoint(path, **wishes)
    return path


@pytest.mark.parametrize("allowed", [False, True], ids=["refused", "allowed"])
def test_no_trick_of_a_pickle_runs_anything(
    program: Program, tmp_path: Path, listener: socket.socket, allowed: bool
) -> None:
    folder, canary, log = program.root, tmp_path / "canary", tmp_path / "log"
    paths = write_tricks(folder, Aim(str(canary), listener.getsockname()[1]))
    before = {path: path.read_bytes() for path in paths.values()}
    unsafe = ["--allow-unsafe"] if allowed else []
    arguments = ["convert", *map(str, paths.values()), *unsafe, "--json"]
    arguments += ["--output", f"{tmp_path / 'out'}/"]

    ended = subprocess.run(
        [sys.executable, "-c", WATCHER, str(log), *arguments],
        env=program.environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert not canary.exists()
    assert log.read_text() == ""
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert "Traceback" not in ended.stderr, ended.stderr
    assert "unexpected" not in ended.stderr, ended.stderr
    by_path = {one["source"]: one for one in json.loads(ended.stdout)}
    assert ended.returncode == 1, "several kinds of failures"
    for trick in TRICKS:
        outcome = by_path[str(paths[trick.name])]
        code = outcome["error"]["exit_code"] if outcome["outcome"] == "failed" else 0
        if trick.verdict == "dangerous" and not allowed:
            assert code == 6, (trick.name, outcome)
        else:
            assert code in (0, 1, 7), (trick.name, outcome)
    assert {path: path.read_bytes() for path in before} == before


def test_a_disk_that_fills_leaves_nothing_behind(program: Program) -> None:
    source = put(program)

    def limited() -> None:
        size = source.stat().st_size // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ended = subprocess.run(
        [sys.executable, "-m", "modelhub", "convert", str(source)],
        env=program.environ,
        capture_output=True,
        text=True,
        preexec_fn=limited,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 7, ended.stderr
    assert "Traceback" not in ended.stderr
    assert names(program.root) == ["model.ckpt"]


def test_a_small_disk_is_told_before_the_first_byte(program: Program, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        ended = run(program, "convert", str(put(program)), "--output", f"{small}/")
        assert ended.code == 7
        assert "free" in ended.err
        assert names(small) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_killed_conversion_leaves_nothing_behind(program: Program) -> None:
    source = put(program)
    seed = random.Random(11)
    for _ in range(6):
        process = program.start("convert", str(source), "--output", f"{program.folder / 'out'}/")
        try:
            process.wait(seed.uniform(0.3, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        made = [path.name for path in (program.folder / "out").glob("*")]
        assert made in ([], ["model.safetensors"])
        for one in made:
            assert read_header(program.folder / "out" / one).tensors
            (program.folder / "out" / one).unlink()
    done = program.run("convert", str(source), "--output", f"{program.folder / 'out'}/")
    assert done.returncode == 0, done.stderr


def test_ctrl_c_ends_with_130_and_leaves_nothing(program: Program) -> None:
    sources = [put(program, f"{number}.ckpt", seed=number) for number in range(6)]
    process = program.start("convert", *map(str, sources), "--output", f"{program.folder}/out/")
    assert process.stderr is not None
    for line in process.stderr:
        if ": convert" in line:
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "run the same command again" in err
    for made in (program.folder / "out").glob("*"):
        assert read_header(made).tensors, "what was done before is whole"


def test_two_processes_convert_the_same_file_once(program: Program) -> None:
    source = put(program)
    both = [program.start("convert", str(source), "--json") for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    outcomes = sorted(json.loads(out)[0]["outcome"] for out, _ in ended)
    assert outcomes == ["done", "present"]
    assert names(program.root) == ["model.ckpt", "model.safetensors"]


def test_what_is_no_model_file_is_an_error_of_its_own(program: Program) -> None:
    root = program.root
    os.mkfifo(root / "fifo.ckpt")
    (root / "folder.ckpt").mkdir()
    (root / "empty.ckpt").write_bytes(b"")
    (root / "page.ckpt").write_bytes(b"<!doctype html><title>Log in</title>")
    put(program, "closed.ckpt").chmod(0)
    expected = {"fifo.ckpt": 7, "folder.ckpt": 7, "empty.ckpt": 1, "page.ckpt": 1, "closed.ckpt": 7}
    ended = run(program, "convert", *(str(root / name) for name in expected), "--json", timeout=30)
    found = {Path(one["source"]).name: one["error"]["exit_code"] for one in ended.document}
    assert found == expected
    assert ended.code == 1
    assert names(root) == sorted(expected)


def test_a_folder_that_may_not_be_written_to_is_named(program: Program) -> None:
    source = put(program)
    closed = program.folder / "closed"
    closed.mkdir(mode=0o555)
    ended = run(program, "convert", str(source), "--output", f"{closed}/")
    assert ended.code == 7
    assert str(closed) in ended.err
    assert names(closed) == []


def test_memory_does_not_grow_with_the_file(program: Program) -> None:
    peaks = []
    for mib in (1, 192):
        source = program.root / f"{mib}.safetensors"
        size = mib << 20
        with source.open("wb") as file:
            file.write(safetensors({"weight": tensor(0, size, size // 4, dtype="F32")}))
            file.truncate(file.tell() + size)
        ended = run(program, "convert", str(source), "--dtype", "fp16")
        assert ended.code == 0, ended.err
        peaks.append(ended.most_memory)
    assert peaks[1] - peaks[0] < 64 << 20
