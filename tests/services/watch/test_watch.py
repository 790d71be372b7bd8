"""The watch over real folders, with the system's own notifications."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.catalog import FileState
from modelhub.services.index import Happened
from modelhub.services.watch import Lost, observing
from modelhub.services.watch.pending import MOST, Pending
from tests.services.index.shelf import lora

from .conftest import Watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tests inotify")


def test_what_was_there_before_is_caught_up_with(watched: Watched) -> None:
    library = watched.library
    library.put("a.safetensors")
    with watched.running():
        watched.until_told(Happened.HASHED, library.root / "a.safetensors")
    assert library.row("a.safetensors").state is FileState.HASHED
    assert watched.kinds()[0].native


def test_a_new_file_is_identified_at_its_last_write_and_not_when_it_rested(
    watched: Watched,
) -> None:
    library = watched.library
    index = replace(library.config.index, settle=3600.0)
    library.config = replace(library.config, index=index)
    with watched.running():
        file = library.root / "a.safetensors"
        content = lora(1)
        with file.open("wb") as target:
            target.write(content[:1000])
            target.flush()
            time.sleep(0.1)
            target.write(content[1000:])
        watched.until_told(Happened.INDEXED, file)
        assert library.row("a.safetensors").type == "lora"
        watched.until_told(Happened.HASHED, file)
    assert watched.about(Happened.FAULTY, file) == []


def test_a_file_in_a_new_folder_is_found(watched: Watched) -> None:
    library = watched.library
    with watched.running():
        file = library.root / "x" / "y" / "z" / "a.safetensors"
        file.parent.mkdir(parents=True)
        file.write_bytes(lora(1))
        watched.until_told(Happened.INDEXED, file)


def test_a_renamed_file_keeps_its_row_and_its_tags(watched: Watched) -> None:
    library = watched.library
    file = library.put("a.safetensors")
    with watched.running():
        watched.until_told(Happened.HASHED, file)
        row = library.row("a.safetensors")
        library.catalog.tag([row.id], ["keep"])
        new = library.root / "b.safetensors"
        file.rename(new)
        moved = watched.until_told(Happened.MOVED, new)
    assert moved.detail == str(file)
    after = library.row("b.safetensors")
    assert (after.id, after.tags, after.state) == (row.id, ("keep",), FileState.HASHED)


def test_a_renamed_folder_keeps_the_rows_in_it(watched: Watched) -> None:
    library = watched.library
    for number in range(20):
        library.put(f"old/{number}.safetensors")
    with watched.running(hash=False):
        watched.until(lambda: library.catalog.count() == 20)
        ids = {row.id for row in library.rows()}
        (library.root / "old").rename(library.root / "new")
        watched.until(lambda: all(row.path.startswith("new/") for row in library.rows()))
        # It is still watched under its new name.
        late = library.put("new/late.safetensors")
        watched.until_told(Happened.INDEXED, late)
    assert ids < {row.id for row in library.rows()}
    assert "missing" not in {str(row.state) for row in library.rows()}


def test_a_file_moved_between_roots_keeps_its_row(watched: Watched, tmp_path: Path) -> None:
    library = watched.library
    other = tmp_path / "other"
    other.mkdir()
    file = library.put("a.safetensors")
    with watched.running(library.root, other):
        watched.until_told(Happened.HASHED, file)
        row = library.row("a.safetensors")
        file.rename(other / "a.safetensors")
        watched.until_told(Happened.MOVED, other / "a.safetensors")
    moved = library.catalog.find_local_by_path(other / "a.safetensors")
    assert moved is not None
    assert moved.id == row.id


def test_a_deleted_file_is_missing_and_comes_back(watched: Watched) -> None:
    library = watched.library
    file = library.put("a.safetensors")
    with watched.running():
        watched.until_told(Happened.HASHED, file)
        aside = library.root.parent / "aside"
        file.rename(aside)
        watched.until_told(Happened.MISSING, file)
        assert library.row("a.safetensors").state is FileState.MISSING
        aside.rename(file)
        watched.until_told(Happened.BACK, file)
    assert library.row("a.safetensors").state is FileState.HASHED


def test_a_deleted_folder_is_missing_with_all_in_it(watched: Watched) -> None:
    library = watched.library
    for number in range(5):
        library.put(f"x/y/{number}.safetensors")
    with watched.running(hash=False):
        watched.until(lambda: library.catalog.count() == 5)
        shutil.rmtree(library.root / "x")
        watched.until(lambda: library.catalog.count("state:missing") == 5)


def test_an_overwritten_file_is_read_again(watched: Watched) -> None:
    library = watched.library
    file = library.put("a.safetensors", lora(1))
    with watched.running():
        watched.until_told(Happened.HASHED, file)
        before = library.row("a.safetensors").sha256
        file.write_bytes(lora(2))
        watched.until(lambda: library.row("a.safetensors").sha256 != before)
        watched.until(lambda: library.row("a.safetensors").state is FileState.HASHED)


def test_downloads_under_way_are_taken_when_they_are_done(watched: Watched) -> None:
    library = watched.library
    with watched.running(hash=False):
        partial = library.root / "a.safetensors.part"
        partial.write_bytes(lora(1)[:700])
        control = library.root / "b.safetensors.aria2"
        control.write_bytes(b"x")
        (library.root / "b.safetensors").write_bytes(lora(2))
        time.sleep(0.5)
        assert library.rows() == []
        partial.write_bytes(lora(1))
        partial.rename(library.root / "a.safetensors")
        control.unlink()
        watched.until_told(Happened.INDEXED, library.root / "a.safetensors")
        watched.until_told(Happened.INDEXED, library.root / "b.safetensors")


def test_ignoring_takes_hold_at_once(watched: Watched) -> None:
    library = watched.library
    library.put("x/a.safetensors")
    library.put("b.safetensors")
    with watched.running(hash=False):
        watched.until(lambda: library.catalog.count() == 2)
        (library.root / ".modelhubignore").write_text("x/\n")
        watched.until(lambda: library.paths() == ["b.safetensors"])


def test_a_folder_behind_a_link_is_watched(watched: Watched, tmp_path: Path) -> None:
    library = watched.library
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    (elsewhere / "a.safetensors").write_bytes(lora(1))
    (library.root / "loras").symlink_to(elsewhere)
    with watched.running(hash=False):
        watched.until(lambda: library.paths() == ["loras/a.safetensors"])
        (elsewhere / "b.safetensors").write_bytes(lora(2))
        watched.until_told(Happened.INDEXED, library.root / "loras" / "b.safetensors")


def test_a_root_that_goes_and_comes_back_is_compared_again(watched: Watched) -> None:
    library = watched.library
    file = library.put("a.safetensors")
    aside = library.root.parent / "unplugged"
    with watched.running(hash=False):
        watched.until_told(Happened.INDEXED, file)
        library.root.rename(aside)
        watched.until(lambda: any(isinstance(one, Lost) for one in watched.told))
        assert library.row("a.safetensors").state is not FileState.MISSING
        (aside / "b.safetensors").write_bytes(lora(2))
        aside.rename(library.root)
        watched.until_told(Happened.INDEXED, library.root / "b.safetensors")
        library.put("c.safetensors")
        watched.until_told(Happened.INDEXED, library.root / "c.safetensors")
    assert "missing" not in {str(row.state) for row in library.rows()}


def test_polling_finds_the_same_later(watched: Watched) -> None:
    library = watched.library
    with watched.running(observer="polling", poll_interval=0.5, hash=False):
        assert not watched.kinds()[0].native
        file = library.put("a.safetensors")
        watched.until_told(Happened.INDEXED, file)
        new = file.rename(library.root / "b.safetensors")
        watched.until_told(Happened.MOVED, new)


def test_network_file_systems_are_polled(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelhub.services.index import mounts

    def mounted() -> list[tuple[str, str]]:
        return [("/", "ext4"), (str(watched.library.root), "nfs4")]

    monkeypatch.setattr(mounts, "_mounted", mounted)
    assert "nfs4" in (observing.polling_reason(watched.library.root, "auto") or "")
    assert observing.polling_reason(watched.library.root, "native") is None
    assert observing.polling_reason(watched.library.root.parent, "auto") is None


def test_without_watches_left_a_root_is_polled(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", refuse)
    file = watched.library.put("a.safetensors")
    with watched.running(poll_interval=0.5, hash=False):
        kind = watched.kinds()[0]
        assert not kind.native
        assert "max_user_watches" in kind.reason
        watched.until_told(Happened.INDEXED, file)


def test_lost_notifications_are_made_good(watched: Watched) -> None:
    """By a queue that the kernel finds full: the log line is watchdog's own."""
    import logging

    library = watched.library
    with watched.running(hash=False):
        watched.until(lambda: library.catalog.root(library.root) is not None)
        time.sleep(0.3)
        logger = logging.getLogger("watchdog.observers.inotify_c")
        logger.warning("Inotify queue overflowed; filesystem events were lost")
        watched.until(lambda: any("lost" in one.text for one in watched.remarks()))


def test_a_storm_of_files_becomes_one_comparison(tmp_path: Path) -> None:
    pending = Pending(1.0)
    for number in range(MOST + 1):
        pending.file_ready(7, tmp_path / str(number))
    assert pending.take(64) == []
    assert pending.take_whole() == 7
    assert pending.take_whole() is None


def test_the_latest_file_is_taken_first(tmp_path: Path) -> None:
    pending = Pending(1.0)
    for number in range(10):
        pending.file_ready(7, tmp_path / str(number))
    assert [path.name for path in pending.take(3)[0].files] == ["9", "8", "7"]
    assert pending.wake.is_set()


def test_a_new_file_is_not_kept_waiting_by_thousands_of_others(watched: Watched) -> None:
    library = watched.library
    for number in range(3000):
        library.put(f"bulk/{number}.safetensors", lora(number, tensors=2))
    with watched.running(hash=False):
        watched.until(lambda: library.catalog.count() > 0)
        file = library.root / "new.safetensors"
        file.write_bytes(lora(1))
        written = time.monotonic()
        watched.until_told(Happened.INDEXED, file)
        took = time.monotonic() - written
        assert library.catalog.count() < 3000
        assert took < 2.0  # one second on a machine that does nothing else
        watched.until(lambda: library.catalog.count() == 3001)


def test_a_file_given_a_hard_link_is_known_by_both_names(watched: Watched) -> None:
    library = watched.library
    file = library.put("a.safetensors")
    with watched.running():
        watched.until_told(Happened.HASHED, file)
        os.link(file, library.root / "b.safetensors")
        watched.until_told(Happened.HASHED, library.root / "b.safetensors")
    assert library.row("a.safetensors").copies == 2
