from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelhub.errors import Cancelled
from modelhub.placement.links import Linked
from modelhub.progress import Event, TaskRenamed
from modelhub.services.dupes import LinkReport, dupes, link_copies
from tests.services.index.shelf import OLD, Library, lora


def link(library: Library) -> LinkReport:
    report = dupes(library.catalog, config=library.config, weights=False)
    return link_copies(library.catalog, report)


def two_copies(library: Library) -> tuple[Path, Path]:
    kept = library.put("kept.safetensors", lora(1), mtime_ns=OLD - 10**9)
    copy = library.put("some/copy.safetensors", lora(1))
    library.index()
    return kept, copy


def linked(kept: Path, copy: Path, how: Linked) -> bool:
    return how is Linked.REFLINK or kept.samefile(copy)


def test_a_copy_becomes_a_link_and_the_catalog_knows(library: Library) -> None:
    kept, copy = two_copies(library)
    library.catalog.tag("copy", ["mine"])
    report = link(library)
    [result] = report.linked
    assert linked(kept, copy, result.how)
    assert copy.read_bytes() == lora(1)
    assert report.freed == len(lora(1))
    row = library.row("some/copy.safetensors")
    assert (row.mtime_ns, row.tags) == (copy.stat().st_mtime_ns, ("mine",))
    [event] = library.catalog.events(kinds=["linked"])
    assert event.detail["kept"] == str(kept)
    assert library.index().unchanged == 2
    assert link(library) == LinkReport((), (), 0)
    assert sorted(one.name for one in library.root.rglob("*.*")) == [
        "copy.safetensors",
        "kept.safetensors",
    ]


def test_a_file_that_differs_in_one_byte_in_spite_of_its_hash_is_left_alone(
    library: Library,
) -> None:
    _, copy = two_copies(library)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    os.utime(copy, ns=(OLD, OLD))
    report = link(library)
    assert [one.how for one in report.left] == [Linked.DIFFERENT]
    assert copy.read_bytes() == bytes(data)
    assert library.catalog.events(kinds=["linked"]) == []


@pytest.mark.parametrize("which", ["kept", "copy"])
def test_a_file_that_changed_since_the_search_is_left_alone(library: Library, which: str) -> None:
    kept, copy = two_copies(library)
    report = dupes(library.catalog, config=library.config, weights=False)
    os.utime(kept if which == "kept" else copy, ns=(OLD, OLD + 1))
    done = link_copies(library.catalog, report)
    assert done.linked == ()
    assert "changed since it was hashed" in done.left[0].detail
    assert not kept.samefile(copy)


def test_a_file_that_others_may_not_read_as_the_kept_one_is_left_alone(library: Library) -> None:
    kept, copy = two_copies(library)
    copy.chmod(0o600)
    kept.chmod(0o644)
    report = link(library)
    if report.linked:
        assert copy.stat().st_mode & 0o777 == 0o600, "a reflink has rights of its own"
    else:
        assert "different owners or rights" in report.left[0].detail
        assert not kept.samefile(copy)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_nothing_is_linked_across_file_systems(library: Library) -> None:
    import tempfile

    kept = library.put("kept.safetensors", lora(1))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == kept.stat().st_dev:
            pytest.skip("the same file system")
        copy = Path(other) / "copy.safetensors"
        copy.write_bytes(lora(1))
        os.utime(copy, ns=(OLD, OLD))
        library.index(library.root, Path(other))
        report = dupes(library.catalog, config=library.config, weights=False)
        assert [one.part.value for one in report.groups[0].members] == ["apart", "apart"]
        assert link_copies(library.catalog, report) == LinkReport((), (), 0)


def test_a_stopped_run_keeps_what_it_linked(library: Library) -> None:
    import threading

    for number in range(4):
        library.put(f"{number}.safetensors", lora(1))
    library.index()
    report = dupes(library.catalog, config=library.config, weights=False)
    cancel = threading.Event()
    seen: list[Event] = []

    def stop_at_third(event: Event) -> None:
        if isinstance(event, TaskRenamed):
            seen.append(event)
            if len(seen) == 3:
                cancel.set()

    with pytest.raises(Cancelled):
        link_copies(library.catalog, report, listener=stop_at_third, cancel=cancel)
    assert len(library.catalog.events(kinds=["linked"])) == 2
    assert len(link(library).linked) == 1


_LINK = """
import sys
from pathlib import Path
from modelhub.catalog import open_catalog
from modelhub.services.dupes import dupes, link_copies
from tests.services.index.shelf import settings

config = settings(Path(sys.argv[1]))
with open_catalog(config) as catalog:
    report = dupes(catalog, config=config, weights=False)
    print("go", flush=True)
    link_copies(catalog, report)
"""


def test_a_killed_run_loses_nothing_and_the_next_one_ends_it(
    library: Library, tmp_path: Path
) -> None:
    content = lora(1, tensors=64)
    for number in range(60):
        library.put(f"{number:02}.safetensors", content)
    library.index()
    for delay in (0.0, 0.01, 0.03):
        process = subprocess.Popen(
            [sys.executable, "-c", _LINK, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        files = sorted(library.root.glob("*.safetensors"))
        assert len(files) == 60
        assert all(file.read_bytes() == content for file in files)
    library.index()
    assert set(library.states().values()) == {"hashed"}
    rest = link(library)
    assert link(library) == LinkReport((), (), 0)
    if all(one.how is Linked.HARD_LINK for one in rest.linked):
        assert len({file.stat().st_ino for file in library.root.glob("*.safetensors")}) == 1


def test_the_hidden_link_of_a_killed_run_is_taken_away(library: Library) -> None:
    kept, copy = two_copies(library)
    left = copy.with_name(f".{copy.name}.modelhub-link")
    left.hardlink_to(kept)
    assert len(link(library).linked) == 1
    assert not left.exists()
