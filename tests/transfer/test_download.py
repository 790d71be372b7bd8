"""Downloads when nothing goes wrong."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.demo.hub import DemoHub, Fault
from modelhub.formats.hashes import hash_file
from modelhub.progress import Stage
from modelhub.transfer import TransferSettings, commit, discard, release
from tests.partials import kept
from tests.patience import SOON, wait_until

from .tools import MIB, Client, noise, sha256

Make = Callable[..., Client]


def test_a_file_arrives_whole_proven_and_under_its_partial_name(client: Make) -> None:
    one = client(12 * MIB)
    done = one.fetch()
    assert done.verified_by == "SHA256"
    assert done.hashes.sha256 == sha256(one.data)
    assert done.size == done.fetched_bytes == 12 * MIB
    assert done.resumed_bytes == 0
    assert done.partial == one.partial
    assert one.links.given == 1


def test_commit_gives_it_its_name_and_leaves_nothing_else(client: Make) -> None:
    one = client(3 * MIB)
    commit(one.fetch().partial, one.folder / one.name)
    assert one.leftovers == {one.name}
    assert (one.folder / one.name).read_bytes() == one.data


@pytest.mark.parametrize("size", [0, 1, 63, 4096, MIB, MIB + 1, 5 * MIB - 1])
def test_files_of_any_size(client: Make, size: int) -> None:
    one = client(noise(size))
    assert one.fetch().size == size


def test_all_hashes_are_computed_on_the_way(client: Make) -> None:
    one = client(9 * MIB)
    done = one.fetch(extra_hashes=frozenset({"blake3", "crc32", "autov1", "autov3"}))
    assert done.hashes == hash_file(done.partial)


def test_without_a_published_hash_the_user_is_told_the_computed_one(client: Make) -> None:
    one = client(MIB)
    one.expected = replace(one.expected, sha256=None)
    assert one.fetch().verified_by is None
    assert any(sha256(one.data) in text for text in one.notices)


def test_a_weaker_published_hash_is_computed_and_proves_the_file(
    client: Make, hub: DemoHub
) -> None:
    one = client(MIB)
    crc = hub.stored(one.file.id).hashes.crc32
    one.expected = replace(one.expected, sha256=None, crc32=crc)
    assert one.fetch().verified_by == "CRC32"


def test_progress_goes_through_the_stages_and_never_back(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=8 * MIB, times=None))
    one = client(6 * MIB)
    one.fetch(connections=1)
    assert one.stages == [Stage.CHECK_SPACE, Stage.DOWNLOAD, Stage.VERIFY]
    done = [event.done for event in one.progress]
    assert done == sorted(done)
    assert done[-1] == len(one.data)
    assert len(done) < 20


def test_more_connections_are_used_where_each_one_is_slow(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=6 * MIB, times=None))
    one = client(40 * MIB)
    done = one.fetch(connections=8)
    ranges = [seen.headers.get("range") for seen in hub.requests]
    assert len(ranges) >= 8
    assert done.seconds < 40 / 6 * 0.6
    assert done.fetched_bytes == len(one.data)


def test_never_more_connections_than_configured(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=4 * MIB, times=None))
    one = client(10 * MIB)
    one.fetch(connections=1)
    assert len(hub.requests) == 1


def test_every_request_asks_for_plain_bytes_of_the_same_version(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=6 * MIB, times=None))
    one = client(20 * MIB)
    one.fetch()
    first, *others = hub.requests
    assert first.headers["range"] == "bytes=0-"
    assert others
    for seen in others:
        assert seen.headers["if-range"] == hub.stored(one.file.id).etag
        assert seen.headers["accept-encoding"] == "identity"
        assert "authorization" not in seen.headers


def test_the_bandwidth_limit_holds_over_all_connections(client: Make) -> None:
    one = client(6 * MIB)
    done = one.fetch(limit_rate=4 * MIB, connections=4)
    assert 1.2 < done.seconds < 2.2


def test_a_folder_that_is_not_there_is_made(client: Make) -> None:
    one = client(MIB)
    one.folder = one.folder / "checkpoints" / "sdxl"
    assert one.fetch().partial.parent == one.folder


def test_a_name_too_long_for_the_disk_is_shortened_for_the_partial_file(client: Make) -> None:
    one = client(MIB, name="é" * 120 + ".safetensors")
    done = one.fetch()
    assert len(os.fsencode(done.partial.name + ".journal")) <= 255
    assert done.partial.name.startswith(".ééé")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "nul\0"])
def test_a_partial_name_with_a_path_in_it_is_refused(client: Make, name: str) -> None:
    one = client(64)
    one.name = name
    with pytest.raises(ValueError, match="not a file name"):
        one.start()


def test_cancelling_takes_effect_at_once_and_loses_nothing(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=3 * MIB, times=None))
    one = client(30 * MIB)
    asked: list[float] = []

    def stop() -> None:
        wait_until(lambda: one.progress and kept(one.folder) >= MIB)
        asked.append(time.monotonic())
        one.cancel.set()

    threading.Thread(target=stop).start()
    with pytest.raises(Exception, match="stopped while downloading") as caught:
        one.fetch()
    assert time.monotonic() - asked[0] < SOON
    assert type(caught.value).__name__ == "Cancelled"
    before = max(event.done for event in one.progress)
    hub.faults.clear()
    one.cancel.clear()
    done = one.fetch()
    assert done.resumed_bytes >= before
    assert done.resumed_bytes + done.fetched_bytes == len(one.data)


def test_cancelling_does_not_wait_for_a_silent_server(client: Make, hub: DemoHub) -> None:
    fault = hub.faults.add(Fault(kind="stall", after=MIB, times=None))
    one = client(4 * MIB)
    threading.Timer(0.3, one.cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Exception, match="stopped"):
        one.fetch(timeout=3 * SOON)
    assert time.monotonic() - began < SOON
    fault.removed.set()


def test_what_was_fetched_is_locked_until_it_is_dealt_with(client: Make) -> None:
    one = client(MIB)
    done = one.fetch()
    assert ".model.safetensors.part.lock" in one.leftovers
    release(done.partial)
    assert one.leftovers == {".model.safetensors.part", ".model.safetensors.part.journal"}
    again = one.fetch()
    assert (again.fetched_bytes, again.resumed_bytes) == (0, MIB)
    discard(again.partial)
    assert one.leftovers == set()


def test_settings_come_from_the_configuration() -> None:
    settings = TransferSettings.of(Config())
    assert settings.connections == 8
    assert settings.limit_rate is None
    assert settings.extra_hashes == {"blake3", "crc32", "autov1", "autov3"}
    assert settings.min_free == 1 << 30


def test_a_users_file_with_a_second_name_is_not_written_to(client: Make, tmp_path: Path) -> None:
    one = client(MIB)
    precious = tmp_path / "precious"
    precious.write_bytes(b"kept")
    one.folder.mkdir()
    one.partial.hardlink_to(precious)
    one.fetch()
    assert precious.read_bytes() == b"kept"
