"""Real file systems for tests: other disks, read-only ones, ones that share blocks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def needs_mount() -> None:
    """Skip where this process may not mount."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a file system needs root")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")


@contextmanager
def mounted_tmpfs(at: Path, options: str = "size=8m") -> Iterator[Path]:
    needs_mount()
    at.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def mounted_btrfs(at: Path) -> Iterator[Path]:
    needs_mount()
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("mkfs.btrfs is not installed")
    image = at.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(128 << 20)
    _run("mkfs.btrfs", "-q", "--mixed", str(image))
    at.mkdir()
    _run("mount", "-o", "loop", str(image), str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
        image.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder`, in which nobody can write: for root too."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield folder
        finally:
            folder.chmod(0o755)
        return
    with mounted_tmpfs(folder):
        _run("mount", "-o", "remount,ro", str(folder))
        yield folder


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    with mounted_tmpfs(tmp_path / "other disk") as folder:
        yield folder


@pytest.fixture
def shared_blocks_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on Btrfs, which can reflink."""
    with mounted_btrfs(tmp_path / "btrfs") as folder:
        yield folder


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    with read_only(tmp_path / "read-only") as folder:
        yield folder
