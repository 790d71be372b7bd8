from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub import whole_files as files
from modelhub.whole_files import (
    Changed,
    create_file,
    meanwhile,
    new_file,
    replace_file,
    take_name,
    temporary_beside,
)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture(
    params=["without a name", "no links", "beside, renamed", "beside, linked", "beside, checked"]
)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way in which a new file can come to its name, from Linux down to exFAT elsewhere."""
    chosen: str = request.param
    if chosen == "no links":

        def no_link(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", no_link)
    elif chosen != "without a name":
        monkeypatch.setattr(files, "_open_unnamed", lambda folder: None)
    if chosen in ("beside, linked", "beside, checked"):
        monkeypatch.setattr(files, "_rename_without_replacing", lambda source, target: False)
    if chosen == "beside, checked":

        def refuse(self: Path, target: Path) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    return chosen


@pytest.mark.usefixtures("way")
def test_a_new_file_appears_whole_and_with_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with new_file(target) as file:
        file.write(b"x" * 10)
        assert not target.exists()
    assert target.read_bytes() == b"x" * 10
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert names(tmp_path) == {"a.json", "plain"}


@pytest.mark.usefixtures("way")
def test_a_taken_name_stays_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "b").symlink_to("nowhere")
    for name in ("a", "b"):
        with pytest.raises(FileExistsError):
            create_file(tmp_path / name, b"theirs")
    assert (tmp_path / "a").read_text() == "mine"
    assert names(tmp_path) == {"a", "b"}


@pytest.mark.usefixtures("way")
def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_file(tmp_path / "a") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == set()


@pytest.mark.usefixtures("way")
def test_an_unfinished_file_can_be_read_by_its_descriptor_and_by_a_path(tmp_path: Path) -> None:
    with new_file(tmp_path / "a") as file:
        file.write(b"content")
        assert os.pread(file.fileno(), 100, 0) == b"content"
        assert meanwhile(file).read_bytes() == b"content"
        assert not (tmp_path / "a").exists()


KILLED_WRITER = """
import os, pathlib, signal, sys
from modelhub.whole_files import new_file
with new_file(pathlib.Path(sys.argv[1])) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")
def test_a_killed_writer_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(tmp_path / "a")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert names(tmp_path) == set()


def test_a_file_is_replaced_with_its_permissions_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o604)
    replace_file(path, b"new", read_as=path.stat())
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert names(tmp_path) == {"a"}


def test_a_file_that_changed_since_it_was_read_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    read_as = path.stat()
    path.write_text("the user's")
    with pytest.raises(Changed):
        replace_file(path, b"new", read_as=read_as)
    assert path.read_text() == "the user's"
    assert names(tmp_path) == {"a"}


def test_a_temporary_name_of_a_longest_name_is_no_longer(tmp_path: Path) -> None:
    temporary = temporary_beside(tmp_path / ("麦" * 85))
    temporary.touch()
    assert temporary.name.startswith(".麦")


@pytest.mark.usefixtures("way")
def test_taking_a_name_moves_the_file(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_text("x")
    take_name(source, tmp_path / "b")
    assert names(tmp_path) == {"b"}
