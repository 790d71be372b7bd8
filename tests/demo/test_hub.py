from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from safetensors import safe_open

from modelhub.demo import catalogue
from modelhub.demo.hub import DemoHub, Fault, random_bytes
from modelhub.demo.published import PublishedModel, PublishedVersion
from modelhub.demo.serve import serve
from modelhub.errors import NetworkError
from tests.patience import SOON


def test_all_demo_files_are_small_and_marked_as_demo_files(shop: DemoHub) -> None:
    total = 0
    for model in shop.shelf.models():
        for version in model.versions:
            for file in version.files:
                stored = shop.stored(file.id)
                total += stored.size
                if file.format == "SafeTensor":
                    with safe_open(stored.path, framework="np") as opened:
                        assert opened.metadata()["modelhub.demo"] == "true"
    assert total < 60e6


def test_the_malicious_file_is_marked_as_a_danger(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/model-versions/{catalogue.MALICIOUS_VERSION}"
    (file,) = client.get(url).json()["files"]
    assert file["pickleScanResult"] == "Danger"
    assert "posix.system" in file["pickleScanMessage"]


def test_hostile_names_reach_the_client_as_they_are(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/model-versions/{catalogue.NASTY_NAMES_VERSION}"
    files = client.get(url).json()["files"]
    assert tuple(file["name"] for file in files) == catalogue.HOSTILE_NAMES
    for file in files:
        answer = client.get(
            f"{shop.url}/api/download/models/{catalogue.NASTY_NAMES_VERSION}",
            params={"fileId": file["id"]},
            follow_redirects=True,
        )
        assert answer.status_code == 200
        assert answer.content == shop.stored(file["id"]).path.read_bytes()


def test_demo_files_are_kept_in_a_folder_for_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with DemoHub(folder=folder) as hub:
        first = hub.stored(911_101).hashes
    kept = folder / "v1-lora"
    made_at = kept.stat().st_mtime_ns
    with DemoHub(folder=folder) as hub:
        assert hub.stored(911_101).hashes == first
    assert kept.stat().st_mtime_ns == made_at
    assert [path.name for path in folder.iterdir()] == ["v1-lora"], "made when asked for"


def test_large_synthetic_files_are_published_by_size(hub: DemoHub, client: httpx.Client) -> None:
    file = hub.publish_bytes("big.safetensors", 3)
    answer = client.get(hub.link(file.id))
    assert answer.content == random_bytes(3 << 20)
    version = client.get(f"{hub.url}/api/v1/model-versions/{file.version_id}").json()
    assert version["files"][0]["id"] == file.id


def test_an_id_cannot_be_published_twice(hub: DemoHub) -> None:
    hub.publish(PublishedModel(id=5, name="m", versions=[PublishedVersion(id=6, name="v")]))
    with pytest.raises(ValueError, match="5"):
        hub.publish(PublishedModel(id=5, name="n"))


def test_requests_and_bytes_are_counted(hub: DemoHub, client: httpx.Client) -> None:
    file = hub.publish_bytes("a.bin", b"x" * 1000)
    client.get(f"{hub.url}/api/v1/models/1?a=b", headers={"X-Mine": "1"})
    client.get(hub.link(file.id), headers={"Range": "bytes=0-99"})
    first, second = hub.requests
    assert (first.server, first.method, first.path) == ("api", "GET", "/api/v1/models/1")
    assert (first.query, first.headers["x-mine"], first.status) == ({"a": ["b"]}, "1", 404)
    assert (second.server, second.status, second.headers["range"]) == (
        "storage",
        206,
        "bytes=0-99",
    )
    assert hub.bytes_sent() == 100
    hub.forget_requests()
    assert hub.requests == []
    assert hub.bytes_sent() == 0


def test_many_connections_at_once(hub: DemoHub) -> None:
    data = random_bytes(4 << 20)
    link = hub.link(hub.publish_bytes("big.bin", data).id)
    parts: dict[int, bytes] = {}

    def fetch(index: int) -> None:
        start = index << 18
        span = f"bytes={start}-{start + (1 << 18) - 1}"
        parts[index] = httpx.get(link, headers={"Range": span}, timeout=20).content

    threads = [threading.Thread(target=fetch, args=[index]) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(parts[index] for index in range(16)) == data


def test_stopping_is_quick_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    hub = DemoHub(catalogue=False)
    hub.start()
    folder = hub.shelf.folder
    file = hub.publish_bytes("a.bin", b"x" * 100_000)
    hub.faults.add(Fault(kind="stall", after=10, times=None))
    port = httpx.URL(hub.storage_url).port or 0
    path = hub.link(file.id).removeprefix(hub.storage_url)
    with socket.create_connection(("127.0.0.1", port)) as stalled:
        stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert stalled.recv(10)
        with socket.create_connection(("127.0.0.1", port)):
            started = time.monotonic()
            hub.stop()
            assert time.monotonic() - started < SOON
    assert set(threading.enumerate()) <= before
    assert not folder.exists()


def test_broken_connections_print_nothing(hub: DemoHub, capfd: pytest.CaptureFixture[str]) -> None:
    link = hub.link(hub.publish_bytes("big.bin", 8).id)
    for _ in range(3):
        with httpx.Client() as client, client.stream("GET", link) as answer:
            next(answer.iter_raw())
    time.sleep(0.1)
    assert capfd.readouterr() == ("", "")


def test_serve_announces_the_hub_and_ends_when_told() -> None:
    stop = threading.Event()
    seen: list[int] = []

    def announce(hub: DemoHub) -> None:
        seen.append(httpx.get(f"{hub.url}/api/v1/models/78056", timeout=20).status_code)
        stop.set()

    serve(0, None, announce, stop)
    assert seen == [200]


def test_serve_says_so_when_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NetworkError) as caught:
        serve(taken.getsockname()[1], None, lambda hub: None)
    assert "cannot listen" in caught.value.message
    assert "--port" in caught.value.hint


def test_starting_a_hub_imports_no_numpy() -> None:
    code = (
        "import sys\n"
        "from modelhub.demo.hub import DemoHub\n"
        "with DemoHub(): assert 'numpy' not in sys.modules and 'httpx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
