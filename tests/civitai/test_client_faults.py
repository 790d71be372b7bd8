from __future__ import annotations

import gzip
import hashlib
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from modelhub.civitai.http import MOST_BYTES
from modelhub.demo.hub import DemoHub, Fault
from modelhub.errors import (
    AccessForbidden,
    Cancelled,
    NoFilesPublished,
    RateLimited,
    RedirectRefused,
    ServerFault,
    UnexpectedAnswer,
    Unreachable,
)
from tests.patience import SOON

from .conftest import Connect, Reply, ScriptedServer, Seen

PAGE = b"<!DOCTYPE html><html><body>Down for maintenance</body></html>"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest().upper()


@pytest.fixture
def model_id(hub: DemoHub) -> int:
    """A model that the hub has."""
    file = hub.publish_bytes("m.safetensors", b"m")
    found = hub.shelf.version(file.version_id)
    assert found is not None
    return found.model.id


def test_bursts_of_server_errors_are_waited_out(
    hub: DemoHub, model_id: int, connect: Connect
) -> None:
    waits: list[tuple[float, str]] = []
    for status in (500, 502, 520):
        hub.faults.add(Fault(kind="server_error", server="api", status=status))
    with connect(hub.url, on_wait=lambda seconds, why: waits.append((seconds, why))) as client:
        assert client.model(model_id).value.id == model_id
    assert len(waits) == 3
    assert all(0 < seconds < 3 for seconds, _ in waits)
    assert "answered 500" in waits[0][1]


def test_lasting_server_errors_are_given_up_on_and_counted(hub: DemoHub, connect: Connect) -> None:
    hub.faults.add(Fault(kind="server_error", server="api", status=503, times=None))
    with (
        connect(hub.url, retries=1) as client,
        pytest.raises(ServerFault, match=r"503.*tried 2 times"),
    ):
        client.enums()
    assert len(hub.requests) == 2


def test_a_maintenance_page_is_recognised(hub: DemoHub, connect: Connect) -> None:
    hub.faults.add(Fault(kind="html_page", server="api", page="maintenance", times=None))
    with connect(hub.url, retries=0) as client, pytest.raises(ServerFault) as caught:
        client.enums()
    assert "maintenance" in caught.value.hint


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
def test_a_page_instead_of_json_is_unexpected(
    server: ScriptedServer, connect: Connect, content_type: str
) -> None:
    server.script(Reply(200, PAGE, content_type=content_type))
    with connect(server.url) as client, pytest.raises(UnexpectedAnswer, match="web page") as caught:
        client.enums()
    assert "maintenance" in caught.value.hint


def test_a_block_by_the_edge_is_told_from_a_missing_right(
    server: ScriptedServer, connect: Connect
) -> None:
    with connect(server.url) as client:
        server.script(Reply(403, PAGE, content_type="text/html"))
        with pytest.raises(AccessForbidden) as caught:
            client.enums()
        assert "Cloudflare" in caught.value.hint
        server.script(Reply(404, PAGE, content_type="text/html"))
        with pytest.raises(UnexpectedAnswer):
            client.model(1)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_is_given_the_time_that_it_asks_for(
    server: ScriptedServer, connect: Connect, form: str
) -> None:
    skewed = datetime(2020, 1, 1, tzinfo=UTC)
    asked = (
        "1" if form == "seconds" else format_datetime(skewed + timedelta(seconds=1), usegmt=True)
    )
    headers = {"Retry-After": asked}
    if form == "date":
        headers["Date"] = format_datetime(skewed, usegmt=True)
    server.script(Reply(429, b"{}", headers), Reply(body=b'{"id": 1}'))
    started = time.monotonic()
    with connect(server.url) as client:
        assert client.model(1).value.id == 1
    assert 0.95 <= time.monotonic() - started < SOON


def test_a_wait_longer_than_we_allow_is_not_begun(hub: DemoHub, connect: Connect) -> None:
    hub.faults.add(Fault(kind="rate_limit", server="api", retry_after=3600))
    started = time.monotonic()
    with (
        connect(hub.url, max_wait=30.0) as client,
        pytest.raises(RateLimited, match="wait for 60 minutes"),
    ):
        client.enums()
    assert time.monotonic() - started < SOON
    assert len(hub.requests) == 1


def test_a_rate_limit_without_a_time_is_tried_a_few_times(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script(Reply(429, b'{"error": "unusual amount of downloading"}'))
    with (
        connect(server.url, retries=9) as client,
        pytest.raises(RateLimited, match="unusual amount"),
    ):
        client.enums()
    assert len(server.seen) == 4


def test_when_one_client_is_asked_to_wait_all_do(server: ScriptedServer, connect: Connect) -> None:
    server.script(Reply(429, b"{}", {"Retry-After": "1"}), Reply())
    told = threading.Event()
    first = connect(server.url, on_wait=lambda seconds, why: told.set())
    second = connect(server.url)
    started = time.monotonic()
    thread = threading.Thread(target=first.enums)
    thread.start()
    assert told.wait(SOON)
    second.enums()
    assert time.monotonic() - started >= 0.95
    thread.join()


def test_all_clients_and_threads_together_keep_the_pace(
    server: ScriptedServer, connect: Connect
) -> None:
    clients = [connect(server.url, requests_per_second=10.0, cache=False) for _ in range(3)]
    started = time.monotonic()
    threads = [threading.Thread(target=client.enums) for client in clients for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.seen) == 18
    assert time.monotonic() - started > 0.65


def test_half_an_answer_is_asked_for_again(hub: DemoHub, model_id: int, connect: Connect) -> None:
    hub.faults.add(Fault(kind="truncated_json", times=2))
    with connect(hub.url) as client:
        assert client.model(model_id).value.id == model_id


def test_half_an_answer_at_every_try_is_given_up_on(
    hub: DemoHub, model_id: int, connect: Connect
) -> None:
    hub.faults.add(Fault(kind="truncated_json", times=None))
    with connect(hub.url, retries=9) as client, pytest.raises(UnexpectedAnswer, match="no JSON"):
        client.model(model_id)
    assert len(hub.requests) == 3


def test_an_answer_of_the_wrong_shape_says_where(
    hub: DemoHub, model_id: int, connect: Connect
) -> None:
    hub.faults.add(Fault(kind="wrong_shape", times=None))
    with connect(hub.url) as client, pytest.raises(UnexpectedAnswer, match=r"\$.*expected .*got"):
        client.model(model_id)
    assert len(hub.requests) == 1


def test_a_connection_that_breaks_midway_is_tried_again(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script(Reply(body=b'{"id": 1', cut=20), Reply(body=b'{"id": 1}'))
    with connect(server.url) as client:
        assert client.model(1).value.id == 1


def test_a_server_that_is_not_there_is_unreachable(connect: Connect) -> None:
    with connect("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="tried 3 times"):
        client.enums()


def test_a_silent_server_is_unreachable(hub: DemoHub, connect: Connect) -> None:
    server = ScriptedServer()
    release = threading.Event()

    def silent(seen: Seen) -> Reply:
        release.wait(60)
        return Reply()

    server.answer = silent
    with (
        connect(server.url, timeout=0.2, retries=0) as client,
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        client.enums()
    release.set()
    server.close()


def test_an_answer_without_end_is_not_read_to_its_end(
    server: ScriptedServer, connect: Connect
) -> None:
    bomb = gzip.compress(b'"' + b" " * (MOST_BYTES + 1) + b'"', 1)
    server.script(Reply(body=bomb, headers={"Content-Encoding": "gzip"}))
    with connect(server.url) as client, pytest.raises(UnexpectedAnswer, match="more than 64 MiB"):
        client.enums()


def test_only_the_start_of_an_error_is_read(server: ScriptedServer, connect: Connect) -> None:
    body = gzip.compress(b" " * (MOST_BYTES * 2), 1)
    server.script(Reply(418, body, headers={"Content-Encoding": "gzip"}))
    with connect(server.url) as client, pytest.raises(UnexpectedAnswer, match="answered 418"):
        client.enums()


def test_a_broken_compression_is_an_unexpected_answer(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script(Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}))
    with connect(server.url) as client, pytest.raises(UnexpectedAnswer, match="compression"):
        client.enums()


def test_cancelling_ends_a_request_that_the_server_leaves_hanging(
    server: ScriptedServer, connect: Connect
) -> None:
    cancel, release = threading.Event(), threading.Event()

    def hanging(seen: Seen) -> Reply:
        cancel.set()
        release.wait(60)
        return Reply()

    server.answer = hanging
    client = connect(server.url, cancel=cancel)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        client.enums()
    ended = time.monotonic()
    release.set()
    assert ended - started < SOON


def test_cancelling_ends_a_wait_for_another_try(hub: DemoHub, connect: Connect) -> None:
    hub.faults.add(Fault(kind="rate_limit", server="api", retry_after=60))
    cancel = threading.Event()
    client = connect(hub.url, cancel=cancel, on_wait=lambda seconds, why: cancel.set())
    started = time.monotonic()
    with pytest.raises(Cancelled):
        client.enums()
    assert time.monotonic() - started < SOON
    with pytest.raises(Cancelled):
        client.versions_by_hashes(sha256(b"%d" % number) for number in range(300))


def test_the_api_may_redirect_within_itself_only(server: ScriptedServer, connect: Connect) -> None:
    other = ScriptedServer()
    with connect(server.url, "SECRETKEY") as client:
        server.script(Reply(301, headers={"Location": "/api/v2/enums"}), Reply())
        client.enums()
        assert [seen.target for seen in server.seen] == ["/api/v1/enums", "/api/v2/enums"]
        server.script(Reply(302, headers={"Location": other.url + "/api/v1/enums"}))
        with pytest.raises(RedirectRefused, match="another host"):
            client.enums()
        server.script(Reply(308, headers={"Location": "/elsewhere"}))
        with pytest.raises(UnexpectedAnswer) as caught:
            client.ids_by_hashes([sha256(b"")])
        assert "civitai.url" in caught.value.hint
    assert other.seen == []
    other.close()


def test_a_version_without_files_is_not_called_unknown(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script(Reply(404, b'{"error": "Missing model file"}'))
    with connect(server.url) as client, pytest.raises(NoFilesPublished, match="version 5"):
        client.version(5)
