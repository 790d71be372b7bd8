from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from modelhub.convert.diffusers.folder import Component, DiffusersFolder
from modelhub.convert.values import Planned
from modelhub.convert.writers import Phase, Written, write_ckpt, write_diffusers, write_safetensors
from modelhub.errors import Cancelled, DiskFull, NotAFolder, RootMissing
from tests.small_disks import mounted

from .planned import MIB, drawn, names, plan_of, source_of

REPOSITORY = Path(__file__).parents[3]
Write = Callable[..., Written]

CONVERT = """
import resource, sys
from pathlib import Path
from modelhub.convert.planning import Plan
from modelhub.convert.readers import open_source
from modelhub.convert.values import Planned
from modelhub.convert import writers
source, target, writer = sys.argv[1:4]
if len(sys.argv) > 4:
    exec(sys.argv[4])
with open_source(Path(source)) as opened:
    plan = Plan(tensors=tuple(Planned(name, one, "F16") for name, one in opened.tensors.items()))
    print("ready", flush=True)
    getattr(writers, writer)(plan, Path(target))
print("done", flush=True)
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", CONVERT, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", mebibytes=16) as folder:
        yield folder


@pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")
@pytest.mark.parametrize("writer", ["write_safetensors", "write_ckpt"])
def test_a_conversion_killed_at_any_moment_leaves_nothing_behind(
    tmp_path: Path, writer: str
) -> None:
    source_of(tmp_path / "in.safetensors", {f"{i}": drawn(MIB, seed=i) for i in range(12)}).close()
    chance = random.Random(4)
    for _ in range(10):
        target = tmp_path / "out"
        arguments = command(tmp_path / "in.safetensors", target, writer)
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment()) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.12))
            process.kill()
        finished = target.exists()
        assert names(tmp_path) == {"in.safetensors"} | ({"out"} if finished else set())
        if finished:
            # It was killed after the file had its name: then all of it is there.
            assert target.stat().st_size > 24 * MIB
            target.unlink()


@pytest.mark.parametrize("write", [write_safetensors, write_ckpt])
def test_a_file_that_does_not_fit_is_refused_before_its_first_byte(
    tmp_path: Path, small_disk: Path, write: Write
) -> None:
    with (
        source_of(tmp_path / "in.safetensors", {"a": drawn(10 * MIB)}) as source,
        pytest.raises(DiskFull, match=r"20\.0 MiB are needed") as caught,
    ):
        write(plan_of(source, "F16"), small_disk / "out")
    assert "--root" not in caught.value.hint
    assert names(small_disk) == set()


@pytest.mark.parametrize("write", [write_safetensors, write_ckpt])
def test_a_disk_that_another_fills_meanwhile_leaves_nothing_of_the_result(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    from modelhub.convert.writers import making

    # Without a reservation, which this disk could give, the space is taken as bytes come.
    monkeypatch.setattr(making, "reserve", lambda handle, size, between: False)

    def fill(phase: Phase, done: int, total: int) -> None:
        if done > total * 0.4 and not (small_disk / "others").exists():
            (small_disk / "others").write_bytes(bytes(11 * MIB))

    with (
        source_of(tmp_path / "in.safetensors", {"a": drawn(5 * MIB)}) as source,
        pytest.raises(DiskFull, match=r"the disk of .*out is full"),
    ):
        write(plan_of(source, "F16"), small_disk / "out", progress=fill)
    assert names(small_disk) == {"others"}


def test_the_space_is_reserved_before_anything_is_written(tmp_path: Path, small_disk: Path) -> None:
    def fill(phase: Phase, done: int, total: int) -> None:
        if phase is Phase.WRITE and done and not (small_disk / "others").exists():
            with pytest.raises(OSError, match="No space left"):
                (small_disk / "others").write_bytes(bytes(8 * MIB))

    with source_of(tmp_path / "in.safetensors", {"a": drawn(5 * MIB)}) as source:
        write_safetensors(plan_of(source, "F16"), small_disk / "out", progress=fill)
    assert names(small_disk) == {"others", "out"}


def test_a_limit_on_the_size_of_files_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    source_of(tmp_path / "in.safetensors", {"a": drawn(2 * MIB)}).close()
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    arguments = command(tmp_path / "in.safetensors", tmp_path / "out", "write_safetensors", limit)
    ended = subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, check=False
    )
    assert "would be larger than its file system or a limit" in ended.stderr
    assert "done" not in ended.stdout
    assert names(tmp_path) == {"in.safetensors"}


@pytest.mark.parametrize("write", [write_safetensors, write_ckpt])
@pytest.mark.parametrize("phase", [Phase.WRITE, Phase.VERIFY])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_conversion_that_is_cancelled_leaves_nothing_behind(
    tmp_path: Path, write: Write, phase: Phase, share: float
) -> None:
    cancel = Event()

    def stop(at: Phase, done: int, total: int) -> None:
        if at is phase and done >= share * total:
            cancel.set()

    arrays = {f"{index}": drawn(MIB, seed=index) for index in range(6)}
    with (
        source_of(tmp_path / "in.safetensors", arrays) as source,
        pytest.raises(Cancelled, match="stopped while making") as caught,
    ):
        write(plan_of(source, "F16"), tmp_path / "out", progress=stop, cancel=cancel)
    assert "nothing was left behind" in caught.value.hint
    assert names(tmp_path) == {"in.safetensors"}


def test_a_folder_that_is_not_there_or_none_is_told(tmp_path: Path) -> None:
    with source_of(tmp_path / "in.safetensors", {"a": drawn(4)}) as source:
        with pytest.raises(RootMissing):
            write_safetensors(plan_of(source), tmp_path / "none" / "out")
        with pytest.raises(NotAFolder):
            write_safetensors(plan_of(source), tmp_path / "in.safetensors" / "out")


DIFFUSERS = """
import os, signal, sys
from pathlib import Path
from modelhub.convert.writers.unfinished_folder import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "unet").mkdir()
    (folder / "unet" / "half").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_of_a_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "model"
    arguments = [sys.executable, "-c", DIFFUSERS, str(target)]
    killed = subprocess.run(arguments, env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".model.")
    (tmp_path / ".model.0123abcd.tmp").mkdir()
    with source_of(tmp_path / "in.safetensors", {"a": drawn(4)}) as source:
        tensors = tuple(Planned(name, one, "F16") for name, one in source.tensors.items())
        part = Component(
            folder="unet",
            config_name="config.json",
            config={},
            tensors=tensors,
            weights_name="model.safetensors",
            metadata={"format": "pt"},
        )
        folder = DiffusersFolder(model_index={"a": 1}, components=(part,), files={})
        write_diffusers(folder, target)
    # A folder that no conversion made is not touched, whatever its name.
    assert names(tmp_path) == {"in.safetensors", "model", ".model.0123abcd.tmp"}
