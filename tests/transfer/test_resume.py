"""Going on after a kill: little is fetched again, nothing damaged is kept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.demo.hub import DemoHub, Fault
from modelhub.errors import Cancelled
from modelhub.transfer import download, release
from modelhub.transfer import journal as journals
from tests.partials import kept
from tests.patience import wait_until

from .tools import MIB, Client, noise, sha256

Make = Callable[..., Client]

RUN = """
import sys, threading
from pathlib import Path
from modelhub.config import Config
from modelhub.progress import silent
from modelhub.transfer import *

class Source:
    def link(self):
        return sys.argv[1]

settings = TransferSettings(connections=int(sys.argv[5]), min_free=0, backoff=0.02)
expected = Expected(sha256=sys.argv[4])
request = DownloadRequest("t", Source(), Path(sys.argv[2]), sys.argv[3], expected)
print("begun", flush=True)
done = download(request, settings, Config(), silent, threading.Event())
print(done.fetched_bytes, done.resumed_bytes, flush=True)
"""


@contextmanager
def downloading(one: Client, connections: int = 4) -> Iterator[subprocess.Popen[str]]:
    """A process that downloads; killed at the latest when the block ends."""
    link = one.links.link()
    digest = one.expected.sha256 or ""
    arguments = [link, str(one.folder), one.name, digest, str(connections)]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield process
        finally:
            process.kill()


def part_fetched(one: Client, hub: DemoHub, after: int = 6 * MIB) -> None:
    """Leave a part of the file behind, as a killed process would."""
    fault = hub.faults.add(Fault(kind="slow", rate=20 * MIB, times=None))
    with downloading(one, connections=1) as process:
        wait_until(lambda: kept(one.folder) >= after)
        process.send_signal(signal.SIGKILL)
    hub.faults.remove(fault.id)
    hub.forget_requests()


def test_a_killed_download_goes_on_where_it_was(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    done = one.fetch()
    assert done.resumed_bytes > 5 * MIB
    assert done.fetched_bytes + done.resumed_bytes == len(one.data)
    assert hub.requests[0].headers["if-range"] == hub.stored(one.file.id).etag


def test_killed_at_random_moments_until_done_it_ends_with_the_same_file(
    client: Make, hub: DemoHub
) -> None:
    one = client(16 * MIB)
    hub.faults.add(Fault(kind="slow", rate=4 * MIB, times=None))
    dice = random.Random(3)
    kills = 0
    while True:
        with downloading(one) as process:
            try:
                # Longer each time: a busy machine must get to the end as well.
                process.wait(timeout=dice.uniform(0.15, 0.9) * (1 + kills / 10))
                assert process.returncode == 0
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
    assert kills >= 2
    assert one.partial.read_bytes() == one.data
    # 8 MiB that were not in the journal yet, and what was on the wire, for each kill.
    assert hub.bytes_sent() < len(one.data) + (kills + 1) * 16 * MIB


def test_bytes_damaged_on_the_disk_are_fetched_again(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    with one.partial.open("r+b") as file:
        file.seek(3 * MIB)
        file.write(b"bit rot")
    assert one.fetch().verified_by == "SHA256"
    assert any("damaged on disk" in text for text in one.notices)


def test_a_partial_file_cut_by_a_power_failure_is_completed(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    os.truncate(one.partial, 2 * MIB + 17)
    assert one.fetch().verified_by == "SHA256"


@pytest.mark.parametrize("damage", ["gone", "empty", "random", "cut", "flipped"])
def test_a_damaged_journal_starts_over_or_goes_on_with_what_is_valid(
    client: Make, hub: DemoHub, damage: str
) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    journal = one.folder / f".{one.name}.part.journal"
    data = journal.read_bytes()
    if damage == "gone":
        journal.unlink()
    else:
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        changed = {
            "empty": b"",
            "random": noise(5000),
            "cut": data[:-45],
            "flipped": bytes(flipped),
        }
        journal.write_bytes(changed[damage])
    done = one.fetch()
    assert done.fetched_bytes + done.resumed_bytes == len(one.data)


def test_a_file_that_changed_since_is_begun_again(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    other = noise(20 * MIB, seed=9)
    hub.stored(one.file.id).replace(other)
    one.expected = replace(one.expected, sha256=sha256(other))
    done = one.fetch()
    assert done.resumed_bytes == 0
    assert done.partial.read_bytes() == other


def test_a_file_that_shrank_since_is_begun_again(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    other = noise(MIB, seed=9)
    hub.stored(one.file.id).replace(other)
    one.expected = replace(one.expected, sha256=sha256(other), size=None)
    assert one.fetch().partial.read_bytes() == other


def test_another_published_hash_starts_over_without_asking(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    journal = one.folder / f".{one.name}.part.journal"
    state = journals.read(journal)
    assert state is not None
    assert state.head.hashes == {"SHA256": sha256(one.data)}
    other = noise(20 * MIB, seed=9)
    hub.stored(one.file.id).replace(other)
    one.expected = replace(one.expected, sha256=sha256(other))
    one.fetch()
    assert hub.requests[0].headers["range"] == "bytes=0-"


def test_without_etags_the_date_of_change_decides(client: Make, hub: DemoHub) -> None:
    one = client(20 * MIB)
    hub.faults.add(Fault(kind="no_etag", times=None))
    part_fetched(one, hub)
    assert one.fetch().resumed_bytes > 5 * MIB


def test_a_server_that_lost_its_ranges_since_is_read_from_the_start(
    client: Make, hub: DemoHub
) -> None:
    one = client(20 * MIB)
    part_fetched(one, hub)
    hub.faults.add(Fault(kind="ignore_range", times=None))
    done = one.fetch()
    assert done.resumed_bytes == 0
    assert done.fetched_bytes == len(one.data)


def test_a_file_fetched_whole_but_not_committed_is_not_fetched_again(
    client: Make, hub: DemoHub
) -> None:
    one = client(5 * MIB)
    release(one.fetch().partial)
    hub.forget_requests()
    assert one.fetch().resumed_bytes == len(one.data)
    assert hub.requests == []


def test_a_cancelled_download_has_everything_that_came_in_its_journal(
    client: Make, hub: DemoHub
) -> None:
    one = client(20 * MIB)
    hub.faults.add(Fault(kind="slow", rate=6 * MIB, times=None))

    def stop_at_3(event: object) -> None:
        one.events.append(event)  # type: ignore[arg-type]
        if getattr(event, "done", 0) >= 3 * MIB:
            one.cancel.set()

    with pytest.raises(Cancelled):
        download(one.request(), one.settings, Config(), stop_at_3, one.cancel)
    state = journals.read(one.folder / f".{one.name}.part.journal")
    assert state is not None
    assert sum(extent.length for extent in state.extents) >= 3 * MIB
    for extent in state.extents:
        with one.partial.open("rb") as file:
            file.seek(extent.offset)
            assert file.read(extent.length) == one.data[extent.offset : extent.end]
