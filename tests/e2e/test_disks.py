from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.partials import kept
from tests.patience import wait_until
from tests.small_disks import mounted

from .conftest import Program

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", mebibytes=24) as folder:
        yield folder


def fill(path: Path) -> None:
    """Take all the space that is left on the disk of `path`."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(MIB)):
            pass


def test_a_disk_without_room_is_told_before_the_first_byte(
    program: Program, small_disk: Path
) -> None:
    reference, _ = program.publish("large.safetensors", 32)

    ended = program.run("pull", reference, "--root", str(small_disk))

    assert ended.returncode == 7
    assert "GiB" in ended.stderr or "MiB" in ended.stderr
    assert "hint:" in ended.stderr
    # What the server sent stayed in the sockets' buffers.
    assert program.hub.bytes_sent("storage") < 8 * MIB
    assert sum(path.stat().st_blocks for path in small_disk.rglob("*")) * 512 < MIB


def test_a_disk_that_fills_up_meanwhile_keeps_what_came_and_goes_on_later(
    program: Program, small_disk: Path
) -> None:
    reference, file = program.publish("filling.safetensors", 20)
    program.variables["MODELHUB_DOWNLOAD_RESERVE_SPACE"] = "false"
    process = program.start("pull", reference, "--root", str(small_disk), "--limit-rate", "8MB/s")
    wait_until(lambda: kept(small_disk) >= 2 * MIB)
    ballast = small_disk / "ballast"
    fill(ballast)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 7, err
    assert not list(small_disk.rglob("*.safetensors"))
    ballast.unlink()
    program.hub.forget_requests()
    again = program.run("pull", reference, "--root", str(small_disk))
    assert again.returncode == 0, again.stderr
    assert program.hub.bytes_sent("storage") < program.hub.stored(file.id or 0).size


def test_the_other_disk_is_reported_when_links_cannot_reach_it(
    program: Program, small_disk: Path
) -> None:
    first = program.run("pull", "910001")
    second = program.run("pull", "910001", "--root", str(small_disk))

    assert second.returncode == 0
    assert second.stdout == first.stdout
    assert not list(small_disk.rglob("*.safetensors"))


def test_a_root_that_is_missing_or_a_file_is_told(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")

    missing = program.run("pull", "910001", "--root", str(tmp_path / "unmounted"))
    in_the_way = program.run("pull", "910001", "--root", str(tmp_path / "file"))

    assert (missing.returncode, in_the_way.returncode) == (7, 7)
    assert "unmounted" in missing.stderr
    assert not (tmp_path / "unmounted").exists()
    assert (tmp_path / "file").read_text() == "here"


def test_a_folder_that_cannot_be_written_to_is_told(program: Program) -> None:
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m,ro", "tmpfs", str(program.root)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("cannot mount a read-only tmpfs here")
    else:
        program.root.chmod(0o555)
    try:
        ended = program.run("pull", "910001")
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(program.root)], check=True)
        else:
            program.root.chmod(0o755)

    assert ended.returncode == 7
    assert str(program.root) in ended.stderr
