from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from modelhub.demo.faults import BadFault, Fault
from modelhub.demo.hub import DemoHub, random_bytes
from modelhub.demo.published import PublishedFile
from tests.patience import SOON

DATA = random_bytes(200_000)


@pytest.fixture
def file(hub: DemoHub) -> PublishedFile:
    return hub.publish_bytes("some.safetensors", DATA)


@pytest.fixture
def link(hub: DemoHub, file: PublishedFile) -> str:
    return hub.link(file.id)


@pytest.fixture
def version_url(hub: DemoHub, file: PublishedFile) -> str:
    return f"{hub.url}/api/v1/model-versions/{file.version_id}"


def _received(client: httpx.Client, url: str, **headers: str) -> tuple[bytes, bool]:
    """What came, and whether it ended well."""
    got = b""
    try:
        with client.stream("GET", url, headers=headers) as answer:
            for chunk in answer.iter_raw():
                got += chunk
    except httpx.HTTPError:
        return got, False
    return got, True


def test_drop_ends_the_connection_after_exactly_so_many_bytes_and_so_often(
    hub: DemoHub, client: httpx.Client, link: str
) -> None:
    fault = hub.faults.add(Fault(kind="drop", after=70_001, times=2))
    for _ in range(2):
        assert _received(client, link) == (DATA[:70_001], False)
    assert _received(client, link) == (DATA, True)
    assert fault.hits == 2


def test_a_drop_that_a_body_is_too_short_for_is_not_used_up(
    hub: DemoHub, client: httpx.Client, link: str
) -> None:
    hub.faults.add(Fault(kind="drop", after=1000))
    assert client.get(link, headers={"Range": "bytes=0-9"}).content == DATA[:10]
    assert _received(client, link) == (DATA[:1000], False)


def test_drop_by_reset(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="drop", after=0, reset=True))
    with pytest.raises(httpx.TransportError):
        client.get(link)


def test_stall_holds_the_body_until_it_is_switched_off(
    hub: DemoHub, client: httpx.Client, link: str
) -> None:
    fault = hub.faults.add(Fault(kind="stall", after=50_000))
    threading.Timer(0.3, hub.faults.remove, [fault.id]).start()
    started = time.monotonic()
    assert _received(client, link) == (DATA, True)
    assert time.monotonic() - started > 0.25
    hub.faults.add(Fault(kind="stall", after=50_000, seconds=0.1))
    assert _received(client, link) == (DATA, True)


def test_a_stalled_body_runs_into_the_clients_timeout(hub: DemoHub, link: str) -> None:
    hub.faults.add(Fault(kind="stall", after=50_000))
    with httpx.Client(timeout=0.2) as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.get(link)


def test_corrupt_changes_one_byte_of_the_range_that_has_it(
    hub: DemoHub, client: httpx.Client, link: str
) -> None:
    hub.faults.add(Fault(kind="corrupt", offset=150_000))
    assert client.get(link, headers={"Range": "bytes=0-99999"}).content == DATA[:100_000]
    damaged = client.get(link, headers={"Range": "bytes=100000-"}).content
    assert damaged[:50_000] + damaged[50_001:] == DATA[100_000:150_000] + DATA[150_001:]
    assert damaged[50_000] != DATA[150_000]
    assert client.get(link).content == DATA


def test_wrong_length_promises_more_or_less(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="wrong_length", by=500))
    assert _received(client, link) == (DATA, False)
    hub.faults.add(Fault(kind="wrong_length", by=-500))
    assert _received(client, link) == (DATA[:-500], True)


def test_ignore_range_sends_everything(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="ignore_range"))
    assert client.get(link).status_code == 200
    answer = client.get(link, headers={"Range": "bytes=5-9"})
    assert (answer.status_code, len(answer.content)) == (200, len(DATA))
    assert client.get(link, headers={"Range": "bytes=5-9"}).status_code == 206


def test_change_file_swaps_content_etag_and_published_hashes(
    hub: DemoHub, client: httpx.Client, link: str, version_url: str
) -> None:
    etag = client.head(link).headers["etag"]
    told = client.get(version_url).json()["files"][0]["hashes"]["SHA256"]
    hub.faults.add(Fault(kind="change_file", after=60_000))
    assert _received(client, link) == (DATA[:60_000], False)
    resumed = {"Range": "bytes=60000-", "If-Range": etag}
    after = client.get(link, headers=resumed)
    assert after.status_code == 200
    assert after.headers["etag"] != etag
    assert len(after.content) == len(DATA)
    assert after.content != DATA
    assert client.get(version_url).json()["files"][0]["hashes"]["SHA256"] != told


def test_change_file_to_given_content(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="change_file", after=10, content=b"shorter"))
    assert _received(client, link) == (DATA[:10], False)
    assert client.get(link).content == b"shorter"


def test_expire_link_at_once_and_midway(
    hub: DemoHub, client: httpx.Client, file: PublishedFile, link: str
) -> None:
    hub.faults.add(Fault(kind="expire_link", after=30_000))
    assert _received(client, link) == (DATA[:30_000], False)
    assert client.get(link).status_code == 403
    fresh = hub.link(file.id)
    assert client.get(fresh).content == DATA
    hub.faults.add(Fault(kind="expire_link"))
    assert "expired" in client.get(fresh).text
    assert client.get(hub.link(file.id)).content == DATA


@pytest.mark.parametrize("seconds", [None, 3])
def test_rate_limits_with_and_without_retry_after(
    hub: DemoHub, client: httpx.Client, link: str, version_url: str, seconds: int | None
) -> None:
    for url in (version_url, link):
        hub.faults.add(Fault(kind="rate_limit", retry_after=seconds))
        answer = client.get(url)
        assert answer.status_code == 429
        assert answer.headers.get("retry-after") == (None if seconds is None else "3")
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524])
def test_bursts_of_server_errors(
    hub: DemoHub, client: httpx.Client, link: str, version_url: str, status: int
) -> None:
    for url in (version_url, link):
        hub.faults.add(Fault(kind="server_error", status=status, times=2))
        assert [client.get(url).status_code for _ in range(3)] == [status, status, 200]
    hub.faults.add(Fault(kind="server_error", status=520))
    assert client.get(link).headers["content-type"].startswith("text/html")


def test_html_pages_in_place_of_json_and_of_files(
    hub: DemoHub, client: httpx.Client, link: str, version_url: str
) -> None:
    for url in (version_url, link):
        hub.faults.add(Fault(kind="html_page", page="login"))
        login = client.get(url)
        assert (login.status_code, "Sign in" in login.text) == (200, True)
        hub.faults.add(Fault(kind="html_page", page="maintenance"))
        assert client.get(url).status_code == 503
        hub.faults.add(Fault(kind="html_page", page="maintenance", status=200))
        assert client.get(url).headers["content-type"] == "text/html; charset=utf-8"


def test_slow_drips(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="slow", rate=400_000))
    started = time.monotonic()
    assert _received(client, link) == (DATA, True)
    assert 0.4 < time.monotonic() - started < SOON


def test_answers_are_cut_misshapen_and_lied_about(
    hub: DemoHub, client: httpx.Client, version_url: str
) -> None:
    good = client.get(version_url).json()
    hub.faults.add(Fault(kind="truncated_json"))
    with pytest.raises(json.JSONDecodeError):
        client.get(version_url).json()
    hub.faults.add(Fault(kind="wrong_shape"))
    wrong = client.get(version_url).json()
    assert all(not isinstance(wrong[name], type(good[name])) for name in ("id", "files", "name"))
    hub.faults.add(Fault(kind="wrong_shape", body="[]"))
    assert client.get(version_url).json() == []
    assert client.get(version_url).json() == good


def test_hashes_are_wrong_or_missing_as_named(
    hub: DemoHub, client: httpx.Client, version_url: str
) -> None:
    def hashes() -> dict[str, str]:
        found: dict[str, str] = client.get(version_url).json()["files"][0]["hashes"]
        return found

    true = hashes()
    hub.faults.add(Fault(kind="wrong_hash", hashes=("SHA256",)))
    lied = hashes()
    assert lied["SHA256"] != true["SHA256"]
    assert len(lied["SHA256"]) == 64
    assert lied["BLAKE3"] == true["BLAKE3"]
    hub.faults.add(Fault(kind="wrong_hash"))
    assert not set(hashes().values()) & set(true.values())
    hub.faults.add(Fault(kind="missing_hashes", hashes=("SHA256", "AutoV2")))
    assert hashes().keys() == true.keys() - {"SHA256", "AutoV2"}
    hub.faults.add(Fault(kind="missing_hashes"))
    assert hashes() == {}


def test_downloads_redirect_in_circles_and_elsewhere(
    hub: DemoHub, client: httpx.Client, file: PublishedFile, version_url: str
) -> None:
    url = f"{hub.url}/api/download/models/{file.version_id}?fileId={file.id}"
    hub.faults.add(Fault(kind="redirect_loop", times=None))
    with pytest.raises(httpx.TooManyRedirects):
        client.get(url, follow_redirects=True)
    assert client.get(version_url).status_code == 200, "only downloads redirect"
    hub.faults.clear()
    hub.faults.add(Fault(kind="redirect_to", url="http://elsewhere.example/file"))
    assert client.get(url).headers["location"] == "http://elsewhere.example/file"
    assert client.get(url).status_code == 307


def test_headers_that_storage_leaves_out(hub: DemoHub, client: httpx.Client, link: str) -> None:
    hub.faults.add(Fault(kind="no_etag"))
    assert "etag" not in client.get(link).headers
    hub.faults.add(Fault(kind="no_content_length"))
    with client.stream("GET", link) as answer:
        assert "content-length" not in answer.headers
        assert answer.read() == DATA
    hub.faults.add(Fault(kind="no_content_length"))
    hub.faults.add(Fault(kind="drop", after=1000))
    assert _received(client, link) == (DATA[:1000], False)


def test_faults_are_matched_by_path_server_and_number(
    hub: DemoHub, client: httpx.Client, link: str, version_url: str
) -> None:
    hub.faults.add(Fault(kind="server_error", path="/nowhere"))
    hub.faults.add(Fault(kind="server_error", server="storage", skip=1))
    assert client.get(version_url).status_code == 200
    assert [client.get(link).status_code for _ in range(3)] == [200, 500, 200]


@pytest.fixture
def control(hub: DemoHub, client: httpx.Client) -> Iterator[str]:
    yield f"{hub.url}/demo/faults"
    client.delete(f"{hub.url}/demo/faults")


def test_faults_are_switched_over_http(
    hub: DemoHub, client: httpx.Client, link: str, control: str
) -> None:
    made = client.post(control, json={"kind": "drop", "after": 10, "times": None})
    assert made.status_code == 201
    assert _received(client, link) == (DATA[:10], False)
    (listed,) = client.get(control).json()
    assert (listed["id"], listed["hits"]) == (made.json()["id"], 1)
    assert client.delete(f"{control}/{listed['id']}").status_code == 204
    assert client.delete(f"{control}/{listed['id']}").status_code == 404
    assert _received(client, link) == (DATA, True)
    client.post(control, json={"kind": "slow"})
    assert client.delete(control).status_code == 204
    assert client.get(control).json() == []
    assert not any(seen.path.startswith("/demo/") for seen in hub.requests)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [],
        {"kind": "explode"},
        {"kind": "drop", "after": "ten"},
        {"kind": "drop", "after": True},
        {"kind": "drop", "colour": 1},
        {"kind": "drop", "server": "moon"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    client: httpx.Client, control: str, wrong: object
) -> None:
    answer = client.post(control, json=wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.get(control).json() == []


def test_pages_in_a_browser_cannot_switch_faults(client: httpx.Client, control: str) -> None:
    fault = {"kind": "drop"}
    foreign = client.post(control, json=fault, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    rebound = client.post(control, json=fault, headers={"Host": "evil.example"})
    assert rebound.status_code == 403


def test_an_unknown_kind_is_refused_in_process_too() -> None:
    with pytest.raises(BadFault, match="explode"):
        Fault(kind="explode")
