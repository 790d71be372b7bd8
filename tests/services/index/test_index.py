"""An index run, on real files: new, changed, moved, linked, gone and back."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from modelhub.catalog import FileState
from modelhub.errors import Cancelled, RootMissing, UsageError
from modelhub.formats.revision import IDENTIFICATION
from modelhub.services.index import Happened, index, scan

from .shelf import OLD, Library, lora


def test_new_files_are_identified_and_hashed(library: Library) -> None:
    library.put("loras/a.safetensors")
    report = library.index()
    assert (report.new, report.hashed, report.faults) == (1, 1, ())
    row = library.row("loras/a.safetensors")
    assert row.state is FileState.HASHED
    assert (row.type, row.architecture, row.format) == ("lora", "sd1", "safetensors")


def test_without_hashing_headers_are_read_all_the_same(library: Library) -> None:
    library.put("a.safetensors")
    report = library.index(hash=False)
    assert (report.new, report.hashed, report.unhashed) == (1, 0, 1)
    row = library.row("a.safetensors")
    assert (row.type, row.sha256, row.state) == ("lora", None, FileState.NEW)


def test_unchanged_files_are_left_alone(library: Library) -> None:
    for number in range(20):
        library.put(f"{number}.safetensors")
    library.index()
    report = library.index()
    assert (report.unchanged, report.new, report.changed, report.hashed) == (20, 0, 0, 0)


def test_files_are_identified_once_more_when_the_rules_improve(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.put("a.safetensors")
    library.put("b.safetensors")
    library.index()
    before = library.row("a.safetensors")
    library.catalog.tag([before.id], ["keep"])
    monkeypatch.setattr(scan, "IDENTIFICATION", IDENTIFICATION + 1)

    report = library.index()

    assert (report.reread, report.changed, report.hashed) == (2, 0, 0)
    after = library.row("a.safetensors")
    assert (after.id, after.state, after.sha256, after.tags, after.type) == (
        before.id,
        FileState.HASHED,
        before.sha256,
        ("keep",),
        "lora",
    )
    assert library.index().reread == 0


def test_what_other_tools_wrote_beside_a_file_comes_with_it(library: Library) -> None:
    library.put("a.safetensors")
    (library.root / "a.json").write_text(
        json.dumps({"activation text": "ink wash", "notes": "my best one", "preferred weight": 0.7})
    )
    library.index()
    assert library.catalog.count('"my best one"') == 1
    assert library.catalog.count('trigger:"ink wash"') == 1


def test_a_changed_file_is_read_and_hashed_again(library: Library) -> None:
    library.put("a.safetensors", lora(1))
    library.index()
    before = library.row("a.safetensors").sha256
    library.put("a.safetensors", lora(2), mtime_ns=library.row("a.safetensors").mtime_ns + 10**9)
    report = library.index()
    assert (report.changed, report.hashed) == (1, 1)
    after = library.row("a.safetensors")
    assert after.sha256 != before
    assert after.state is FileState.HASHED


def test_a_file_replaced_with_its_size_and_time_kept_is_noticed(library: Library) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    before = library.row("a.safetensors").sha256
    new = library.put("b.safetensors.part", lora(2))
    new.rename(file)
    assert library.row("a.safetensors").size == file.stat().st_size
    library.index()
    assert library.row("a.safetensors").sha256 != before


def test_a_renamed_file_keeps_its_row_and_its_tags(library: Library) -> None:
    file = library.put("a.safetensors")
    library.index()
    row = library.row("a.safetensors")
    library.catalog.tag([row.id], ["keep"])
    (library.root / "new").mkdir()
    file.rename(library.root / "new" / "b.safetensors")
    report = library.index()
    assert (report.moved, report.missing, report.new) == (1, 0, 0)
    moved = library.row("new/b.safetensors")
    assert (moved.id, moved.tags, moved.state) == (row.id, ("keep",), FileState.HASHED)
    assert library.paths() == ["new/b.safetensors"]


def test_a_renamed_folder_moves_all_its_files(library: Library) -> None:
    for number in range(30):
        library.put(f"old/{number}.safetensors")
    library.index(hash=False)
    ids = {row.id for row in library.rows()}
    (library.root / "old").rename(library.root / "anime")
    report = library.index(hash=False)
    assert (report.moved, report.missing, report.new) == (30, 0, 0)
    assert {row.id for row in library.rows()} == ids


def test_two_files_that_swap_their_names_keep_their_tags(library: Library) -> None:
    a, b = library.put("a.safetensors", lora(1)), library.put("b.safetensors", lora(2))
    os.utime(b, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
    library.index()
    library.catalog.tag([library.row("a.safetensors").id], ["first"])
    a.rename(library.root / "c")
    b.rename(a)
    (library.root / "c").rename(b)
    library.index()
    assert library.row("b.safetensors").tags == ("first",)
    assert library.row("a.safetensors").tags == ()


def test_a_file_moved_to_another_root_keeps_its_row(library: Library, tmp_path: Path) -> None:
    file = library.put("z.safetensors")
    other = tmp_path / "another"
    other.mkdir()
    library.index(library.root, other)
    row = library.row("z.safetensors")
    file.rename(other / "z.safetensors")
    report = library.index(library.root, other)
    assert (report.moved, report.missing) == (1, 0)
    moved = library.catalog.find_local_by_path(other / "z.safetensors")
    assert moved is not None
    assert moved.id == row.id


def test_a_copy_elsewhere_whose_original_is_gone_takes_its_row(library: Library) -> None:
    """As from one file system to another: another inode, the same content."""
    file = library.put("a.safetensors", lora(5))
    library.index()
    row = library.row("a.safetensors")
    library.catalog.tag([row.id], ["keep"])
    (library.root / "disk").mkdir()
    shutil.copy(file, library.root / "disk" / "a.safetensors")
    file.unlink()
    time.sleep(0.25)
    report = library.index()
    assert report.missing == 1
    moved = library.row("disk/a.safetensors")
    assert (moved.id, moved.tags, moved.state) == (row.id, ("keep",), FileState.HASHED)
    assert library.paths() == ["disk/a.safetensors"]
    assert library.index().unchanged == 1


def test_a_hard_link_is_not_read_again(library: Library) -> None:
    file = library.put("a.safetensors")
    library.index()
    os.link(file, library.root / "b.safetensors")
    report = library.index()
    assert (report.new, report.moved, report.hashed, report.linked) == (1, 0, 1, 1)
    assert library.row("b.safetensors").sha256 == library.row("a.safetensors").sha256
    assert library.row("b.safetensors").copies == 2


def test_what_is_gone_is_missing_and_comes_back(library: Library) -> None:
    file = library.put("a.safetensors")
    library.put("b.safetensors")
    library.index()
    library.catalog.tag([library.row("a.safetensors").id], ["keep"])
    aside = library.root.parent / "aside.safetensors"
    file.rename(aside)
    assert library.index().missing == 1
    assert library.states()["a.safetensors"] is FileState.MISSING
    assert library.index().missing == 0
    aside.rename(file)
    assert library.index().back == 1
    back = library.row("a.safetensors")
    assert (back.state, back.tags) == (FileState.HASHED, ("keep",))


def test_an_emptied_folder_is_told_from_a_disk_that_is_not_mounted(library: Library) -> None:
    file = library.put("a.safetensors")
    library.index()
    file.unlink()
    # The same file system as before: the user deleted it.
    assert library.index().missing == 1


def test_a_root_on_another_file_system_and_empty_is_left_as_known(library: Library) -> None:
    library.put("a.safetensors").unlink()
    library.put("a.safetensors")
    library.index()
    row = library.catalog.root(library.root)
    assert row is not None
    library.catalog.record_scan(row.id, device=(row.device or 0) + 1, seen_files=1)
    (library.root / "a.safetensors").unlink()
    report = library.index()
    assert (report.missing, bool(report.roots[0].skipped)) == (0, True)
    assert library.states()["a.safetensors"] is FileState.HASHED


def test_a_root_that_is_not_there_is_left_as_known(library: Library) -> None:
    library.put("a.safetensors")
    library.index()
    library.root.rename(library.root.parent / "unmounted")
    report = library.index()
    assert (report.missing, bool(report.roots[0].skipped)) == (0, True)
    assert library.states()["a.safetensors"] is FileState.HASHED


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_nothing_below_an_unreadable_folder_counts_as_gone(library: Library) -> None:
    library.put("locked/a.safetensors")
    library.index()
    (library.root / "locked").chmod(0)
    try:
        report = library.index()
    finally:
        (library.root / "locked").chmod(0o755)
    assert (report.missing, report.unreadable) == (0, (library.root / "locked",))


def test_a_file_that_is_no_model_is_listed_with_its_fault(library: Library) -> None:
    library.put("page.safetensors", b"<!DOCTYPE html><html><body>Log in</body></html>" * 50)
    library.put("cut.safetensors", lora(1)[:500])
    library.put("empty.safetensors", b"")
    library.put("good.safetensors")
    report = library.index()
    assert {fault.path.name for fault in report.faults} == {
        "page.safetensors",
        "cut.safetensors",
        "empty.safetensors",
    }
    assert library.paths("fault:yes") == [
        "cut.safetensors",
        "empty.safetensors",
        "page.safetensors",
    ]
    assert library.row("good.safetensors").fault is None


def test_a_file_still_being_written_is_read_when_it_rests(library: Library) -> None:
    file = library.root / "a.safetensors"
    content = lora(3)
    stop = threading.Event()

    def write() -> None:
        with file.open("wb", buffering=0) as target:
            for at in range(0, len(content), 2000):
                target.write(content[at : at + 2000])
                stop.wait(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.06)
    report = library.index()
    writer.join()
    assert report.faults == ()
    assert library.row("a.safetensors").size == len(content)
    assert library.row("a.safetensors").type == "lora"


def test_a_file_that_never_rests_is_left_for_the_next_run(library: Library) -> None:
    file = library.put("a.safetensors", mtime_ns=time.time_ns())
    report = library.index(settle=60.0, wait=0.1)
    assert (report.new, report.still_written) == (0, (file,))
    assert library.rows() == []


def test_a_file_from_the_future_is_read_once_it_is_seen_to_rest(library: Library) -> None:
    library.put("a.safetensors", mtime_ns=time.time_ns() + 3600 * 10**9)
    assert library.index().new == 1


def test_what_the_user_ignores_leaves_the_catalog_but_not_what_he_wrote(library: Library) -> None:
    library.put("old/a.safetensors")
    library.put("b.safetensors")
    library.index()
    library.catalog.tag("", ["keep"])
    (library.root / ".modelhubignore").write_text("old/\n")
    assert library.index().forgotten == 1
    assert library.paths() == ["b.safetensors"]
    (library.root / ".modelhubignore").unlink()
    library.index()
    assert library.row("old/a.safetensors").tags == ("keep",)


def test_the_files_of_a_root_in_a_root_are_its_own(library: Library) -> None:
    library.put("inner/a.safetensors")
    library.put("b.safetensors")
    library.index()
    row = library.row("inner/a.safetensors")
    inner = library.root / "inner"
    library.catalog.add_root(inner, watched=True)
    report = library.index(library.root, inner)
    assert (report.moved, report.forgotten, report.missing) == (1, 0, 0)
    rows = {(one.root, one.path): one.id for one in library.rows()}
    assert rows[str(inner), "a.safetensors"] == row.id
    assert set(rows) == {(str(inner), "a.safetensors"), (str(library.root), "b.safetensors")}
    assert library.index(library.root, inner).unchanged == 2


def test_names_that_are_not_utf8_are_followed_too(library: Library) -> None:
    name = os.fsdecode(b"caf\xe9.safetensors")
    folder = os.fsdecode(b"dos\xff")
    library.put(name, lora(1))
    library.put(f"{folder}/x.safetensors", lora(2))
    library.put("caf/x.safetensors", lora(3))
    assert library.index().new == 3
    assert library.index().unchanged == 3
    (library.root / folder / "x.safetensors").unlink()
    report = library.index()
    assert (report.unchanged, report.missing) == (2, 1)


def test_part_of_a_root_can_be_indexed_alone(library: Library) -> None:
    library.put("a/1.safetensors")
    library.put("b/2.safetensors")
    library.catalog.add_root(library.root)
    report = library.index(library.root / "a")
    assert report.new == 1
    assert library.paths() == ["a/1.safetensors"]
    library.index(library.root / "b" / "2.safetensors")
    assert library.paths() == ["a/1.safetensors", "b/2.safetensors"]
    (library.root / "a" / "1.safetensors").unlink()
    assert library.index(library.root / "b").missing == 0
    assert library.index(library.root / "a").missing == 1


def test_a_folder_outside_every_root_becomes_one(library: Library, tmp_path: Path) -> None:
    library.put("a.safetensors")
    report = library.index()
    assert report.roots[0].added
    assert [row.folder for row in library.catalog.roots()] == [library.root]
    stray = tmp_path / "stray.safetensors"
    stray.write_bytes(lora())
    with pytest.raises(UsageError, match="in no root"):
        library.index(stray)
    with pytest.raises(RootMissing):
        library.index(tmp_path / "nowhere")


def test_many_files_are_read_by_several_processes(library: Library) -> None:
    for number in range(300):
        library.put(f"{number % 7}/{number}.safetensors")
    report = library.index(hash=False)
    assert (report.new, report.faults) == (300, ())
    assert library.catalog.count("type:lora arch:sd1") == 300


def test_a_stopped_run_goes_on_where_it_was(library: Library) -> None:
    for number in range(300):
        library.put(f"{number}.safetensors")
    cancel = threading.Event()
    calls = iter(range(10**6))

    def interlude() -> None:
        if next(calls) > 4:
            cancel.set()

    with pytest.raises(Cancelled):
        index(
            [library.root],
            config=library.config,
            catalog=library.catalog,
            cancel=cancel,
            interlude=interlude,
        )
    report = library.index()
    assert report.unchanged + report.new == 300
    assert library.catalog.count("state:hashed") == 300


def test_each_thing_is_told(library: Library) -> None:
    a = library.put("a.safetensors")
    library.index()
    a.rename(library.root / "b.safetensors")
    library.index()
    (library.root / "b.safetensors").unlink()
    library.index()
    assert [one.what for one in library.told] == [
        Happened.INDEXED,
        Happened.HASHED,
        Happened.MOVED,
        Happened.MISSING,
    ]


def test_a_name_that_is_not_utf8_is_followed_from_another_file_system(library: Library) -> None:
    file = library.put("a.safetensors")
    library.index()
    before = library.row("a.safetensors")
    library.catalog.tag([before.id], ["keep"])
    odd = library.root / os.fsdecode(b"caf\xe9") / os.fsdecode(b"b \xff.safetensors")
    odd.parent.mkdir()
    # As `mv` does from one file system to another: another inode, and then the old one goes.
    shutil.copyfile(file, odd)
    os.utime(odd, ns=(OLD, OLD))
    file.unlink()
    library.index()
    after = library.catalog.find_local_by_path(odd)
    assert after is not None
    assert (after.id, after.file, after.tags) == (before.id, odd, ("keep",))
    assert library.index().unchanged == 1
