"""Several downloads of the same file at once: one fetches, the others wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.demo.hub import DemoHub, Fault
from modelhub.errors import Cancelled
from modelhub.progress import Notice, Stage, StageEntered
from modelhub.transfer import AlreadyThere, Downloaded, commit, download, release
from tests.partials import kept
from tests.patience import wait_until

from .test_resume import downloading
from .tools import MIB, Client

Make = Callable[..., Client]


def test_a_second_process_waits_and_then_finds_nothing_left_to_do(
    client: Make, hub: DemoHub
) -> None:
    one = client(12 * MIB)
    hub.faults.add(Fault(kind="slow", rate=4 * MIB, times=None))
    with downloading(one) as process:
        while not hub.requests:
            pass
        done = one.fetch()
        assert process.wait() == 0
    assert one.stages[0] == Stage.WAIT
    assert "under way: waiting" in one.notices[0]
    assert done.fetched_bytes == 0
    assert done.resumed_bytes == len(one.data)


def test_a_waiting_download_goes_on_when_the_other_process_is_killed(
    client: Make, hub: DemoHub
) -> None:
    one = client(12 * MIB)
    hub.faults.add(Fault(kind="slow", rate=4 * MIB, times=None))
    with downloading(one, connections=1) as process:
        wait_until(lambda: kept(one.folder) >= 2 * MIB)
        threading.Timer(0.3, process.kill).start()
        done = one.fetch()
    assert done.resumed_bytes > 0
    assert done.resumed_bytes + done.fetched_bytes == len(one.data)


def test_two_threads_of_a_process_fetch_it_once(client: Make, hub: DemoHub) -> None:
    one = client(8 * MIB)
    hub.faults.add(Fault(kind="slow", rate=8 * MIB, times=None))
    target = one.folder / one.name
    results: list[object] = []

    def recheck() -> Path | None:
        return target if target.exists() else None

    def run() -> None:
        result = download(
            one.request(),
            one.settings,
            Config(),
            one.events.append,
            one.cancel,
            recheck=recheck,
        )
        if isinstance(result, Downloaded):
            commit(result.partial, target)
        results.append(result)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results) == [
        "AlreadyThere",
        "AlreadyThere",
        "Downloaded",
    ]
    assert AlreadyThere(target) in results
    assert target.read_bytes() == one.data
    assert one.leftovers == {one.name}
    assert hub.bytes_sent() < 2 * len(one.data)


def test_waiting_can_be_cancelled(client: Make, hub: DemoHub) -> None:
    one = client(12 * MIB)
    hub.faults.add(Fault(kind="slow", rate=MIB, times=None))
    with downloading(one):
        while not hub.requests:
            pass

        def stop() -> None:
            wait_until(lambda: len(one.events) >= 2)
            one.cancel.set()

        threading.Thread(target=stop).start()
        with pytest.raises(Cancelled):
            one.fetch()
    assert [type(event) for event in one.events] == [StageEntered, Notice]


def test_different_files_are_fetched_side_by_side(client: Make, hub: DemoHub) -> None:
    hub.faults.add(Fault(kind="slow", rate=8 * MIB, times=None))
    several = [client(4 * MIB, name=f"m{n}.safetensors") for n in range(3)]
    threads = [threading.Thread(target=one.fetch) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in several:
        assert one.partial.read_bytes() == one.data
        assert Stage.WAIT not in one.stages


def test_a_file_that_was_never_committed_is_taken_up_again_by_its_own_process(
    client: Make,
) -> None:
    one = client(MIB)
    first = one.fetch()
    again = one.fetch()
    assert again == replace(first, fetched_bytes=0, resumed_bytes=MIB, seconds=again.seconds)
    release(again.partial)


def test_what_was_finished_a_moment_before_is_not_fetched_again(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    target = one.folder / one.name
    commit(one.fetch().partial, target)
    hub.forget_requests()

    result = download(
        one.request(), one.settings, Config(), one.events.append, one.cancel, recheck=lambda: target
    )

    assert result == AlreadyThere(target)
    assert not hub.requests
    assert one.leftovers == {one.name}
