from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhub.catalog import FileState, open_catalog
from modelhub.errors import Cancelled
from modelhub.progress import Advanced, Event
from modelhub.services.verify import Verdict, VerifyReport, verify
from tests.services.index.shelf import OLD, Library, lora, settings

BYTES = len(lora(1))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "models"
    root.mkdir()
    config = settings(tmp_path)
    with open_catalog(config) as catalog:
        yield Library(root, catalog, config)


def overwrite(file: Path, offset: int, data: bytes, *, mtime_ns: int = OLD) -> None:
    """Change bytes in the middle, as a disk does it: the time stays, unless another is given."""
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)
    os.utime(file, ns=(mtime_ns, mtime_ns))


def cut(file: Path, size: int, *, mtime_ns: int = OLD) -> None:
    os.truncate(file, size)
    os.utime(file, ns=(mtime_ns, mtime_ns))


def verdicts(report: VerifyReport) -> dict[str, Verdict]:
    return {one.path.name: one.verdict for one in report.findings}


def test_files_that_are_as_they_were_are_recorded_as_read(library: Library) -> None:
    library.put("a.safetensors", lora(1))
    library.put("b.safetensors", lora(2))
    library.index()
    report = verify(library.catalog)
    assert (report.planned, report.checked, report.ok, report.findings) == (2, 2, 2, ())
    assert report.read_bytes == report.library_bytes == 2 * BYTES
    details = library.catalog.show(library.row("a.safetensors").id)
    assert details.verify_ok is True
    assert details.verified_at is not None


def test_a_flipped_bit_is_found_told_and_left_alone(library: Library) -> None:
    file = library.put("a.safetensors", lora(1))
    copy = library.put("copy.safetensors", lora(1))
    library.index()
    before = file.read_bytes()
    overwrite(file, 4000, bytes([before[4000] ^ 1]))
    rotten = file.read_bytes()
    report = verify(library.catalog)
    [found] = report.findings
    assert (found.path, found.verdict, found.elsewhere) == (file, Verdict.BIT_ROT, (copy,))
    assert report.damaged == 1
    assert file.read_bytes() == rotten
    row = library.row("a.safetensors")
    assert row.state is FileState.HASHED
    assert row.fault is not None
    assert row.fault.startswith("bit rot: its SHA256 is ")
    assert library.paths("fault:yes") == ["a.safetensors"]
    [event] = library.catalog.events(kinds=["damaged"])
    assert (event.local_file_id, event.sha256) == (row.id, row.sha256)
    assert event.detail["found"] == found.sha256


def test_the_same_damage_is_one_event_and_is_over_once_the_file_is_restored(
    library: Library,
) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    good = file.read_bytes()
    overwrite(file, 4000, bytes([good[4000] ^ 1]))
    verify(library.catalog)
    verify(library.catalog)
    assert len(library.catalog.events(kinds=["damaged"])) == 1
    overwrite(file, 0, good)
    assert verify(library.catalog).ok == 1
    assert library.paths("fault:yes") == []
    assert library.catalog.show(library.row("a.safetensors").id).verify_ok is True


def test_a_file_that_lost_its_end_is_truncated(library: Library) -> None:
    for name, seed in (("by-disk.safetensors", 1), ("by-copying.safetensors", 2)):
        library.put(name, lora(seed))
    library.index()
    cut(library.root / "by-disk.safetensors", BYTES - 100)
    cut(library.root / "by-copying.safetensors", BYTES - 100, mtime_ns=OLD + 10**9)
    report = verify(library.catalog)
    assert set(verdicts(report).values()) == {Verdict.TRUNCATED}
    assert library.paths("fault:yes") == ["by-copying.safetensors", "by-disk.safetensors"]


def test_what_somebody_wrote_is_changed_and_indexed_anew(library: Library) -> None:
    same_size = library.put("edited.safetensors", lora(1))
    other_size = library.put("other.safetensors", lora(2))
    library.index()
    overwrite(same_size, 4000, b"edited", mtime_ns=OLD + 10**9)
    other_size.write_bytes(lora(3, tensors=2))
    os.utime(other_size, ns=(OLD, OLD + 10**9))
    report = verify(library.catalog)
    assert verdicts(report) == {
        "edited.safetensors": Verdict.CHANGED,
        "other.safetensors": Verdict.CHANGED,
    }
    assert report.damaged == 0
    assert set(library.states().values()) == {FileState.CHANGED}
    library.index()
    assert set(library.states().values()) == {FileState.HASHED}
    assert verify(library.catalog).ok == 2


def test_a_file_that_was_only_touched_is_as_it_was(library: Library) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    os.utime(file, ns=(OLD, OLD + 5))
    assert verify(library.catalog).ok == 1
    assert library.row("a.safetensors").mtime_ns == OLD + 5


def test_a_missing_file_is_told_and_left_to_the_next_index(library: Library) -> None:
    library.put("a.safetensors", lora(1)).unlink()
    gone = library.put("gone.safetensors", lora(1))
    library.index()
    gone.unlink()
    report = verify(library.catalog)
    assert verdicts(report) == {"gone.safetensors": Verdict.MISSING}
    assert report.findings[0].detail == "it is not there"
    assert library.states() == {"gone.safetensors": FileState.HASHED}
    library.root.rename(library.root.with_name("elsewhere"))
    [found] = verify(library.catalog).findings
    assert "may not be mounted" in found.detail


def test_a_file_that_became_something_else_is_unreadable_and_blocks_nobody(
    library: Library,
) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    file.unlink()
    os.mkfifo(file)
    assert verdicts(verify(library.catalog)) == {"a.safetensors": Verdict.UNREADABLE}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_unreadable(library: Library) -> None:
    file = library.put("a.safetensors", lora(1))
    library.index()
    file.chmod(0)
    assert verdicts(verify(library.catalog)) == {"a.safetensors": Verdict.UNREADABLE}


def test_a_query_takes_a_model_with_its_parts(library: Library) -> None:
    for number in (1, 2):
        library.put(f"x-0000{number}-of-00002.safetensors", lora(number))
    library.put("other.safetensors", lora(3))
    library.index()
    report = verify(library.catalog, query="name:x")
    assert (report.checked, report.library_bytes) == (2, 2 * BYTES)


def test_a_share_takes_those_that_were_read_longest_ago(library: Library) -> None:
    for number in range(4):
        library.put(f"{number}.safetensors", lora(number + 1))
    library.index()
    now = datetime.now(UTC)
    for number, days in ((0, 1), (1, 40), (3, 20)):
        row = library.row(f"{number}.safetensors")
        library.catalog.record_verified(row.id, now - timedelta(days=days), ok=True)
    report = verify(library.catalog, share=0.5)
    assert (report.checked, report.planned_bytes) == (2, 2 * BYTES)
    lately = {
        name: details.verified_at is not None and details.verified_at >= now
        for name in ("0", "1", "2", "3")
        if (details := library.catalog.show(library.row(f"{name}.safetensors").id))
    }
    assert lately == {"0": False, "1": True, "2": True, "3": False}


def test_in_a_week_a_share_is_read_however_often_it_is_called(library: Library) -> None:
    for number in range(10):
        library.put(f"{number}.safetensors", lora(number + 1))
    library.index()
    assert [verify(library.catalog, share=0.3, due=True).checked for _ in range(3)] == [3, 0, 0]
    week_ago = datetime.now(UTC) - timedelta(days=8)
    for row in library.rows():
        if library.catalog.show(row.id).verified_at is not None:
            library.catalog.record_verified(row.id, week_ago, ok=True)
    assert verify(library.catalog, share=0.3, due=True).checked == 3
    verified = [row for row in library.rows() if library.catalog.show(row.id).verified_at]
    assert len(verified) == 6


def test_a_file_larger_than_the_share_is_read_all_the_same(library: Library) -> None:
    library.put("large.safetensors", lora(1))
    library.index()
    assert verify(library.catalog, share=0.01, due=True).checked == 1


def test_a_stopped_run_goes_on_where_it_was(library: Library) -> None:
    for number in range(5):
        library.put(f"{number}.safetensors", lora(number + 1))
    library.index()
    cancel = threading.Event()

    def stop_after_two(event: Event) -> None:
        if isinstance(event, Advanced) and event.done >= 2 * BYTES:
            cancel.set()

    with pytest.raises(Cancelled, match="2 of 5 files, 2 ok"):
        verify(library.catalog, listener=stop_after_two, cancel=cancel)
    rest = verify(library.catalog, older_than=timedelta(days=1))
    assert (rest.checked, rest.ok) == (3, 3)
