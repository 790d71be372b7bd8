"""Disks that are full, small, read-only, or no folders at all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.demo.hub import DemoHub, Fault
from modelhub.disk import reserve
from modelhub.errors import Cancelled, DiskError, DiskFull, FolderNotWritable, NameTaken, NotAFolder
from modelhub.transfer import download
from tests.small_disks import mounted

from .test_resume import RUN, part_fetched
from .tools import MIB, Client

Make = Callable[..., Client]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", mebibytes=16) as folder:
        yield folder


def test_a_file_that_does_not_fit_is_refused_before_its_first_byte(
    client: Make, small_disk: Path
) -> None:
    one = client(20 * MIB)
    one.folder = small_disk
    with pytest.raises(DiskFull, match=r"20\.0 MiB are needed") as caught:
        one.fetch()
    assert "are free" in caught.value.message
    assert one.leftovers == set()


def test_the_space_to_be_left_free_counts(client: Make, small_disk: Path) -> None:
    one = client(12 * MIB)
    one.folder = small_disk
    with pytest.raises(DiskFull, match="to stay free"):
        one.fetch(min_free=8 * MIB)
    assert one.fetch(min_free=MIB).size == 12 * MIB


def test_the_space_is_taken_before_the_bytes_come(
    client: Make, small_disk: Path, hub: DemoHub
) -> None:
    one = client(12 * MIB)
    one.folder = small_disk
    hub.faults.add(Fault(kind="stall", after=MIB, times=None))

    free: list[int] = []

    def look(event: object) -> None:
        if getattr(event, "done", 0) > 0:
            disk = os.statvfs(small_disk)
            free.append(disk.f_bavail * disk.f_frsize)
            one.cancel.set()

    with pytest.raises(Cancelled):
        download(one.request(), one.settings, Config(), look, one.cancel)
    assert free[0] < 5 * MIB


def test_a_disk_that_fills_up_half_way_costs_nothing_once_there_is_room(
    client: Make, small_disk: Path, hub: DemoHub
) -> None:
    one = client(12 * MIB)
    one.folder = small_disk
    hub.faults.add(Fault(kind="slow", rate=12 * MIB, times=None))
    hog = small_disk / "hog"

    def fill(event: object) -> None:
        if getattr(event, "done", 0) > 2 * MIB and not hog.exists():
            with hog.open("wb") as file, contextlib.suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(4096))

    settings = replace(one.settings, reserve_space=False)
    with pytest.raises(DiskFull):
        download(one.request(), settings, Config(), fill, one.cancel)
    hog.unlink()
    done = one.fetch()
    assert done.resumed_bytes > MIB


def run_with_small_files(one: Client) -> str:
    """Download in a process that may write no file of more than a MiB; what it complains of."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1<<20, 1<<20))\n"
    arguments = [one.links.link(), str(one.folder), one.name, one.expected.sha256 or "", "2"]
    return subprocess.run(
        [sys.executable, "-c", limited + RUN, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ).stderr


def test_a_limit_on_the_size_of_files_is_told_and_nothing_left(client: Make) -> None:
    one = client(8 * MIB)
    told = run_with_small_files(one)
    assert "DiskError" in told
    assert "larger than its file system" in told
    assert one.leftovers == set()


def test_a_reservation_that_fails_on_going_on_costs_nothing_of_what_is_there(
    client: Make, hub: DemoHub
) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    os.truncate(one.partial, 12 * MIB)
    assert "larger than its file system" in run_with_small_files(one)
    assert one.fetch().resumed_bytes > 5 * MIB


def test_cancelling_ends_a_reservation_between_its_steps(tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled("stopped")

    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(Cancelled):
            reserve(handle, 1 << 40, stop)
    finally:
        os.close(handle)


def test_a_read_only_folder_is_told(client: Make, small_disk: Path) -> None:
    one = client(MIB)
    one.folder = small_disk
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(FolderNotWritable, match="read-only"):
        one.fetch()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(client: Make) -> None:
    one = client(MIB)
    one.folder.mkdir()
    one.folder.chmod(0o500)
    with pytest.raises(FolderNotWritable, match="permission"):
        one.fetch()


def test_a_file_where_the_folder_should_be_is_told(client: Make) -> None:
    one = client(MIB)
    one.folder.write_text("a file")
    with pytest.raises(NotAFolder):
        one.fetch()
    one.folder = one.folder / "deeper"
    with pytest.raises(NotAFolder):
        one.fetch()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_something_else_under_the_partial_name_is_left_alone(client: Make, kind: str) -> None:
    one = client(MIB)
    one.folder.mkdir()
    if kind == "folder":
        one.partial.mkdir()
    elif kind == "link":
        one.partial.symlink_to("/etc/hostname")
    else:
        os.mkfifo(one.partial)
    with pytest.raises(NameTaken):
        one.fetch()
    assert one.partial.is_symlink() or one.partial.exists()


def test_a_file_larger_than_any_disk_is_refused(client: Make) -> None:
    one = client(MIB)
    with pytest.raises(DiskError):
        one.fetch(min_free=1 << 60)
