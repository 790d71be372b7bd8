"""What an index makes of files that turn into something else, and of disks that go away."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelhub.catalog import FileState
from modelhub.services.index import Happened

from .shelf import OLD, Library, lora


def _by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "notes.txt").write_text("not a model")


def _by_a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _by_a_link_that_leads_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("/nowhere/model.safetensors")


def _by_a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


@pytest.mark.parametrize(
    "replace", [_by_a_folder, _by_a_fifo, _by_a_link_that_leads_nowhere, _by_a_link_to_itself]
)
def test_a_file_replaced_by_what_is_no_file_is_missing_and_comes_back(
    library: Library, replace: Callable[[Path], None]
) -> None:
    file = library.put("a.safetensors", lora(1))
    library.put("b.safetensors")
    library.index()
    row = library.row("a.safetensors")
    library.catalog.tag([row.id], ["keep"])

    replace(file)
    report = library.index()

    assert (report.missing, report.forgotten, report.faults) == (1, 0, ())
    assert library.row("a.safetensors").state is FileState.MISSING
    assert library.index().missing == 0
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    library.put("a.safetensors", lora(1))
    library.index()
    back = library.row("a.safetensors")
    assert (back.id, back.tags, back.state) == (row.id, ("keep",), FileState.HASHED)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")


def umount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(OLD, OLD))


def test_a_disk_that_is_a_root_is_left_as_known_while_it_is_not_there(
    library: Library, disk: Path
) -> None:
    put(disk / "a.safetensors", lora(1))
    library.index(disk)
    library.catalog.tag("", ["keep"])
    umount(disk)

    report = library.index(disk)

    assert report.missing == 0
    assert report.roots[0].skipped
    (row,) = library.rows()
    assert (row.state, row.tags) == (FileState.HASHED, ("keep",))
    mount(disk)
    put(disk / "a.safetensors", lora(1))
    library.index(disk)
    (row,) = library.rows()
    assert (row.state, row.tags) == (FileState.HASHED, ("keep",))


def test_links_to_files_on_a_disk_that_is_not_there_keep_what_is_known(
    library: Library, disk: Path
) -> None:
    """As users do it: each model a link to the large disk."""
    put(disk / "a.safetensors", lora(1))
    (library.root / "a.safetensors").symlink_to(disk / "a.safetensors")
    library.put("b.safetensors")
    library.index()
    row = library.row("a.safetensors")
    library.catalog.tag([row.id], ["keep"])
    umount(disk)

    assert library.index().forgotten == 0
    mount(disk)
    put(disk / "a.safetensors", lora(1))
    library.index()

    back = library.row("a.safetensors")
    assert (back.id, back.tags, back.state) == (row.id, ("keep",), FileState.HASHED)


def test_a_model_moved_to_another_disk_keeps_its_tags(library: Library, disk: Path) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index(library.root, disk)
    row = library.row("a.safetensors")
    library.catalog.tag([row.id], ["keep"])

    subprocess.run(["mv", str(file), str(disk / "renamed.safetensors")], check=True)
    library.index(library.root, disk)

    (moved,) = library.rows()
    assert (moved.file, moved.tags, moved.id) == (disk / "renamed.safetensors", ("keep",), row.id)


def test_a_model_deleted_and_restored_under_another_name_keeps_its_tags(library: Library) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    library.catalog.tag([library.row("a.safetensors").id], ["keep"])
    library.catalog.note([library.row("a.safetensors").id], "mine")
    file.unlink()
    library.index()
    library.index()

    library.put("folder/b.safetensors", lora(1), mtime_ns=OLD + 10**9)
    library.index()

    assert library.row("folder/b.safetensors").tags == ("keep",)


def test_a_file_that_changes_all_the_time_is_one_of_others(library: Library) -> None:
    """Rewritten in place, with its time set back: only its size and content tell."""
    file = library.put("restless.safetensors", lora(0))
    for number in range(40):
        library.put(f"{number}.safetensors", lora(number + 1))
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            file.write_bytes(lora(number)[: 400 * (number % 5 + 1)])
            os.utime(file, ns=(OLD, OLD))
            time.sleep(0.002)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        report = library.index(wait=0.5)
    finally:
        stop.set()
        writer.join()

    assert {fault.path for fault in report.faults} <= {file}
    assert library.catalog.count("state:hashed type:lora") >= 40
    put(file, lora(99))
    library.index()
    row = library.row("restless.safetensors")
    assert (row.type, row.state, row.fault) == ("lora", FileState.HASHED, None)


def test_a_file_cut_off_while_it_is_hashed_is_not_recorded_as_it_was(library: Library) -> None:
    file = library.put("a.safetensors", lora(1, tensors=200))
    cut = False

    def tell_of(event: object) -> None:
        nonlocal cut
        if "hash" in str(event).lower() and not cut:
            cut = True
            os.truncate(file, 1000)

    library.index(listener=tell_of)
    assert cut
    assert library.row("a.safetensors").state is not FileState.HASHED
    os.utime(file, ns=(OLD, OLD))
    library.index()
    row = library.row("a.safetensors")
    assert (row.size, row.state) == (1000, FileState.HASHED)
    assert "cut off" in (row.fault or "")


def test_a_fault_is_gone_when_the_file_is_whole(library: Library) -> None:
    library.put("a.safetensors", lora(1)[:700])
    assert [fault.path.name for fault in library.index().faults] == ["a.safetensors"]
    assert library.index().faults == ()
    library.put("a.safetensors", lora(1))
    assert library.index().faults == ()
    assert library.paths("fault:yes") == []
    assert Happened.FAULTY in {one.what for one in library.told}
