"""Downloads when the network, the server or the link goes wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from modelhub.demo.hub import DemoHub, Fault
from modelhub.errors import (
    Cancelled,
    FileChanged,
    HashMismatch,
    LinkExpired,
    NotAModelFile,
    NotFoundError,
    RateLimited,
    RedirectRefused,
    ServerFault,
    SizeMismatch,
    UnexpectedAnswer,
    Unreachable,
)
from tests.patience import SOON

from .tools import MIB, Client, noise

Make = Callable[..., Client]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_dropped_connection_is_gone_on_with_where_it_broke(
    client: Make, hub: DemoHub, connections: int, reset: bool
) -> None:
    one = client(8 * MIB)
    hub.faults.add(Fault(kind="drop", after=3 * MIB, reset=reset))
    done = one.fetch(connections=connections)
    assert done.fetched_bytes == len(one.data)
    assert hub.bytes_sent() < len(one.data) + 4 * MIB


def test_a_line_that_drops_all_the_time_is_good_enough_as_long_as_it_goes_on(
    client: Make, hub: DemoHub
) -> None:
    one = client(8 * MIB)
    hub.faults.add(Fault(kind="drop", after=300_000, times=None))
    done = one.fetch(retries=2, connections=1)
    assert done.fetched_bytes == len(one.data)


def test_a_line_that_brings_nothing_is_given_up_and_what_came_is_kept(
    client: Make, hub: DemoHub
) -> None:
    one = client(8 * MIB)
    hub.faults.add(Fault(kind="drop", after=5 * MIB))
    hub.faults.add(Fault(kind="drop", after=0, times=None, skip=1))
    with pytest.raises(Unreachable) as caught:
        one.fetch(retries=2, connections=1)
    assert "X-Amz" not in str(caught.value)
    hub.faults.clear()
    assert one.fetch().resumed_bytes >= 4 * MIB


def test_a_server_that_is_not_there_is_unreachable(client: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = client(MIB)
    one.links.make = lambda: f"http://127.0.0.1:{port}/x?X-Amz-Signature=secret"
    with pytest.raises(Unreachable) as caught:
        one.fetch(retries=1)
    assert "secret" not in caught.value.message
    assert one.leftovers == set()


def test_a_silent_connection_is_dropped_and_opened_anew(client: Make, hub: DemoHub) -> None:
    one = client(6 * MIB)
    hub.faults.add(Fault(kind="stall", after=2 * MIB))
    done = one.fetch(timeout=0.5, connections=1)
    assert done.fetched_bytes == len(one.data)
    assert 0.4 < done.seconds < 3


def test_two_failing_runs_in_a_row_end_with_the_same_file(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    for _ in range(2):
        hub.faults.add(Fault(kind="drop", after=2 * MIB))
        fault = hub.faults.add(Fault(kind="server_error", status=500, times=None, skip=1))
        with pytest.raises(ServerFault):
            one.fetch(connections=1, retries=1)
        hub.faults.remove(fault.id)
    done = one.fetch()
    assert done.resumed_bytes >= 4 * MIB - 200_000


def test_a_byte_that_changed_on_the_way_is_noticed_and_the_data_removed(
    client: Make, hub: DemoHub
) -> None:
    one = client(5 * MIB)
    hub.faults.add(Fault(kind="corrupt", offset=4 * MIB, times=None))
    with pytest.raises(HashMismatch, match=r"model\.safetensors: SHA256 should be"):
        one.fetch()
    assert one.leftovers == set()


@pytest.mark.parametrize("by", [1000, -1000])
def test_a_wrong_length_of_one_answer_does_no_harm(client: Make, hub: DemoHub, by: int) -> None:
    one = client(5 * MIB)
    hub.faults.add(Fault(kind="wrong_length", by=by))
    assert one.fetch().verified_by == "SHA256"


def test_a_server_without_ranges_is_read_in_one_stream(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="ignore_range", times=None))
    assert one.fetch().fetched_bytes == len(one.data)


def test_without_ranges_a_broken_stream_is_begun_again(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="ignore_range", times=None))
    hub.faults.add(Fault(kind="drop", after=4 * MIB, times=2))
    one.fetch()
    assert any("starting over" in text for text in one.notices)


def test_without_ranges_nothing_useless_is_left_behind(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="ignore_range", times=None))
    hub.faults.add(Fault(kind="no_content_length", times=None))
    hub.faults.add(Fault(kind="drop", after=4 * MIB, times=None))
    with pytest.raises(Unreachable):
        one.fetch(retries=2)
    assert one.leftovers == set()


def test_ranges_that_stop_working_half_way_are_done_without(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="drop", after=4 * MIB))
    hub.faults.add(Fault(kind="ignore_range", times=None, skip=1))
    assert one.fetch().fetched_bytes == len(one.data)


def test_a_body_without_a_length_is_read_to_its_end(client: Make, hub: DemoHub) -> None:
    one = client(5 * MIB)
    hub.faults.add(Fault(kind="no_content_length", times=None))
    hub.faults.add(Fault(kind="ignore_range", times=None))
    assert one.fetch().size == len(one.data)


def test_a_body_without_a_length_that_is_too_short_is_a_size_mismatch(
    client: Make, hub: DemoHub
) -> None:
    one = client(5 * MIB)
    one.expected = replace(one.expected, sha256=None, size=6 * MIB)
    hub.faults.add(Fault(kind="no_content_length", times=None))
    hub.faults.add(Fault(kind="ignore_range", times=None))
    with pytest.raises(SizeMismatch):
        one.fetch()
    assert one.leftovers == set()


def test_another_size_than_published_is_an_error_before_the_first_byte(
    client: Make, hub: DemoHub
) -> None:
    one = client(5 * MIB)
    one.expected = replace(one.expected, sha256=None, size=6 * MIB)
    with pytest.raises(SizeMismatch):
        one.fetch()
    assert one.leftovers == set()


def test_another_size_than_published_is_told_when_the_hash_fits(client: Make) -> None:
    one = client(MIB)
    one.expected = replace(one.expected, size=6 * MIB)
    assert one.fetch().verified_by == "SHA256"
    assert any("published size" in text for text in one.notices)


@pytest.mark.parametrize("connections", [1, 4])
def test_a_file_that_changes_under_the_download_is_begun_again(
    client: Make, hub: DemoHub, connections: int
) -> None:
    one = client(8 * MIB)
    other = noise(8 * MIB, seed=2)
    one.expected = replace(one.expected, sha256=None)
    hub.faults.add(Fault(kind="change_file", after=3 * MIB, content=other))
    done = one.fetch(connections=connections)
    assert done.partial.read_bytes() == other
    assert any("changed on the server" in text for text in one.notices)


def test_a_file_that_never_stops_changing_is_given_up(client: Make, hub: DemoHub) -> None:
    one = client(4 * MIB)
    hub.faults.add(Fault(kind="change_file", after=MIB, times=None))
    with pytest.raises(FileChanged):
        one.fetch(connections=1)


def test_an_expired_link_is_resolved_again_in_the_middle(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="expire_link", after=3 * MIB))
    done = one.fetch()
    assert done.fetched_bytes == len(one.data)
    assert one.links.given == 2


def test_links_that_expire_every_few_bytes_are_good_enough(client: Make, hub: DemoHub) -> None:
    one = client(9 * MIB)
    hub.faults.add(Fault(kind="expire_link", after=MIB, times=None))
    assert one.fetch().fetched_bytes == len(one.data)
    assert one.links.given >= 4


def test_links_that_never_work_are_given_up(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="expire_link", times=None))
    with pytest.raises(LinkExpired) as caught:
        one.fetch(retries=50)
    assert "X-Amz" not in str(caught.value)
    assert one.links.given == 4


def test_a_file_that_storage_does_not_have_is_not_found(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    link = hub.link(one.file.id)
    path = link.removeprefix(hub.storage_url).partition("?")[0]
    gone = hub.signer.signed(path + ".gone", None)
    one.links.make = lambda: hub.storage_url + gone
    with pytest.raises(NotFoundError):
        one.fetch()


def test_a_429_is_waited_out_as_told(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="rate_limit", server="storage", retry_after=1))
    done = one.fetch()
    assert done.seconds > 1
    assert any("trying again in 1 s" in text for text in one.notices)


def test_a_wait_that_is_too_long_is_told_instead_of_waited(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="rate_limit", server="storage", retry_after=3600, times=None))
    began = time.monotonic()
    with pytest.raises(RateLimited):
        one.fetch()
    assert time.monotonic() - began < SOON


def test_a_wait_can_be_cancelled(client: Make, hub: DemoHub) -> None:
    import threading

    one = client(MIB)
    hub.faults.add(Fault(kind="rate_limit", server="storage", retry_after=4, times=None))
    threading.Timer(0.2, one.cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        one.fetch()
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_server_errors_are_tried_again(client: Make, hub: DemoHub, status: int) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="server_error", server="storage", status=status, times=2))
    assert one.fetch().verified_by == "SHA256"


def test_server_errors_without_end_are_told(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="server_error", server="storage", status=502, times=None))
    with pytest.raises(ServerFault, match="502"):
        one.fetch(retries=2)


def test_a_server_that_allows_few_connections_is_served_with_few(
    client: Make, hub: DemoHub
) -> None:
    one = client(16 * MIB)
    hub.faults.add(Fault(kind="slow", rate=8 * MIB, times=None))
    hub.faults.add(Fault(kind="server_error", server="storage", status=503, times=1, skip=1))
    done = one.fetch(connections=8)
    assert done.fetched_bytes == len(one.data)
    assert not any("trying again" in text for text in one.notices)


def test_a_login_page_is_never_saved_as_a_model(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="html_page", server="storage", page="login", times=None))
    with pytest.raises(NotAModelFile):
        one.fetch()
    assert one.leftovers == set()


def test_a_maintenance_page_is_waited_out(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="html_page", server="storage", page="maintenance", times=2))
    assert one.fetch().verified_by == "SHA256"


def test_a_page_that_pretends_to_be_bytes_is_recognised(client: Make) -> None:
    one = client(b"<!DOCTYPE html><html><body>Please log in</body></html>")
    one.expected = replace(one.expected, sha256=None, size=None)
    with pytest.raises(NotAModelFile):
        one.fetch()
    assert one.leftovers == set()


def test_redirects_are_followed_but_not_in_circles(client: Make, hub: DemoHub) -> None:
    one = client(MIB)
    target = hub.link(one.file.id)
    hub.faults.add(Fault(kind="redirect_to", server="storage", url=target))
    assert one.fetch().verified_by == "SHA256"
    other = client(MIB, name="other.safetensors")
    hub.faults.add(Fault(kind="redirect_loop", server="storage", times=None))
    with pytest.raises(RedirectRefused):
        other.fetch()


@pytest.mark.parametrize("url", ["ftp://host/x", "file:///etc/passwd", "http://[bad/x"])
def test_redirects_leave_http_never(client: Make, hub: DemoHub, url: str) -> None:
    one = client(MIB)
    hub.faults.add(Fault(kind="redirect_to", server="storage", url=url, times=None))
    with pytest.raises(RedirectRefused):
        one.fetch()


@pytest.mark.parametrize("url", ["not a url", "ftp://host/x", "http://[::1/x", ""])
def test_a_link_that_is_none_is_told(client: Make, url: str) -> None:
    one = client(MIB)
    one.links.make = lambda: url
    with pytest.raises(UnexpectedAnswer):
        one.fetch()


def test_a_link_source_that_fails_ends_the_download_with_its_error(client: Make) -> None:
    one = client(MIB)

    def fail() -> str:
        raise RateLimited("the API asks to wait")

    one.links.make = fail
    with pytest.raises(RateLimited, match="the API"):
        one.fetch()
