"""Giving a file its name: never over another one, on file systems of several kinds."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from modelhub import disk
from modelhub.errors import DiskError, RootMissing
from modelhub.transfer import commit


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    path = tmp_path / ".m.part"
    path.write_bytes(b"new")
    path.with_name(".m.part.journal").write_bytes(b"journal")
    return path


@pytest.fixture(params=["renameat2", "link", "reservation"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The three ways to rename, the later ones where the kernel or file system lacks the first."""
    if request.param != "renameat2":
        monkeypatch.setattr(disk, "linux_call", lambda name: None)
    if request.param == "reservation":

        def no_links(*args: Any, **more: Any) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", no_links)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_free_name_is_taken(partial: Path) -> None:
    target = partial.with_name("m.safetensors")
    commit(partial, target)
    assert target.read_bytes() == b"new"
    assert os.listdir(partial.parent) == ["m.safetensors"]  # noqa: PTH208


@pytest.mark.usefixtures("way")
def test_a_taken_name_is_left_alone_and_the_download_kept(partial: Path) -> None:
    target = partial.with_name("m.safetensors")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        commit(partial, target)
    assert target.read_bytes() == b"old"
    assert partial.read_bytes() == b"new"
    commit(partial, target.with_name("m-2.safetensors"))


@pytest.mark.usefixtures("way")
def test_a_dangling_link_counts_as_a_taken_name(partial: Path) -> None:
    target = partial.with_name("m.safetensors")
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        commit(partial, target)


def test_a_folder_that_is_gone_is_told(partial: Path) -> None:
    with pytest.raises(RootMissing):
        commit(partial, partial.parent / "gone" / "m.safetensors")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.ENOTDIR, "no folder"),
        (errno.EIO, "reports an error"),
        (errno.EFBIG, "larger"),
        (errno.ENAMETOOLONG, "cannot be used"),
        (errno.EBUSY, "busy"),
    ],
)
def test_every_refusal_of_the_disk_is_told_in_words_with_the_path(number: int, words: str) -> None:
    with pytest.raises(DiskError) as caught, disk.disk_errors(Path("/models/m.part")):
        raise OSError(number, os.strerror(number))
    assert words in caught.value.message
    assert "/models/m.part" in caught.value.message


def test_space_is_really_reserved(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        really = disk.reserve(handle, 1 << 20)
        status = os.fstat(handle)
    finally:
        os.close(handle)
    assert status.st_size == 1 << 20
    assert not really or status.st_blocks * 512 >= 1 << 20


def test_without_a_call_to_reserve_the_file_gets_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "linux_call", lambda name: None)
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        assert disk.reserve(handle, 4096) is False
        assert os.fstat(handle).st_size == 4096
    finally:
        os.close(handle)
