from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.civitai.cache import AnswerCache, cache_directives
from modelhub.demo.hub import DemoHub
from modelhub.errors import UnknownModel

from .conftest import Connect, Reply, ScriptedServer

URL = "https://civitai.com/api/v1/models/1"
ETAG = {"etag": 'W/"1"'}


def kept_files(home: Path) -> list[Path]:
    return [path for path in (home / "cache" / "api").rglob("*") if path.is_file()]


def test_an_unchanged_answer_is_not_sent_again(hub: DemoHub, connect: Connect, home: Path) -> None:
    file = hub.publish_bytes("a.safetensors", b"a")
    with connect(hub.url) as client:
        first, second = client.version(file.version_id), client.version(file.version_id)
    assert [seen.status for seen in hub.requests] == [200, 304]
    assert (first.raw, first.from_cache) == (second.raw, False)
    assert second.from_cache
    assert kept_files(home)[0].stat().st_mode & 0o077 == 0


def test_a_changed_answer_replaces_the_kept_one(server: ScriptedServer, connect: Connect) -> None:
    with connect(server.url) as client:
        for number in (1, 2):
            server.script(Reply(body=b'{"id": %d}' % number, headers={"ETag": f'"{number}"'}))
            assert client.model(1).value.id == number
        assert server.seen[1].headers["if-none-match"] == '"1"'
        server.script(Reply(404, b'{"error": "gone"}'))
        with pytest.raises(UnknownModel):
            client.model(1)
        server.script(Reply(body=b'{"id": 3}'))
        client.model(1)
        assert "if-none-match" not in server.seen[3].headers


def test_a_date_serves_as_well_as_a_tag(server: ScriptedServer, connect: Connect) -> None:
    date = "Tue, 01 Aug 2023 12:00:00 GMT"
    server.script(Reply(body=b'{"id": 1}', headers={"Last-Modified": date}), Reply(304, b""))
    with connect(server.url) as client:
        assert client.model(1).value == client.model(1).value
        assert server.seen[1].headers["if-modified-since"] == date
        client.model(1)
        assert server.seen[2].headers["if-modified-since"] == date


def test_a_fresh_answer_is_not_asked_for_at_all(server: ScriptedServer, connect: Connect) -> None:
    server.script(Reply(body=b'{"id": 1}', headers={"Cache-Control": "public, max-age=60"}))
    with connect(server.url) as client:
        assert client.model(1).value == client.model(1).value
    with connect(server.url) as another:
        another.model(1)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "public, s-maxage=300, stale-while-revalidate=150", "ETag": '"1"'},
        {"Cache-Control": "no-cache, max-age=60", "ETag": '"1"'},
        {"Cache-Control": "max-age=60", "Age": "60", "ETag": '"1"'},
        {"Cache-Control": "max-age=0"},
        {"Cache-Control": "private, no-store, max-age=60", "ETag": '"1"'},
        {"Cache-Control": "max-age=soon"},
    ],
)
def test_everything_else_is_asked_for_each_time(
    server: ScriptedServer, connect: Connect, headers: dict[str, str]
) -> None:
    server.script(Reply(body=b'{"id": 1}', headers=headers))
    with connect(server.url) as client:
        client.model(1)
        client.model(1)
    assert len(server.seen) == 2


def test_answers_asked_with_a_key_are_never_given_to_another(
    server: ScriptedServer, connect: Connect, home: Path
) -> None:
    server.answer = lambda seen: Reply(
        body=b'{"id": %d}' % len(server.seen), headers={"Cache-Control": "max-age=60"}
    )
    for key, number in (("alice-key", 1), ("bob-key", 2), (None, 3), ("alice-key", 1)):
        with connect(server.url, key) as client:
            assert client.model(1).value.id == number
    assert len(kept_files(home)) == 3


def test_the_cache_can_be_switched_off(hub: DemoHub, connect: Connect, home: Path) -> None:
    with connect(hub.url, cache=False) as client:
        client.enums()
        client.enums()
    assert [seen.status for seen in hub.requests] == [200, 200]
    assert kept_files(home) == []


def test_who_a_key_belongs_to_is_not_kept(hub: DemoHub, connect: Connect, home: Path) -> None:
    with connect(hub.url, hub.key) as client:
        client.me()
    assert kept_files(home) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 50, b"not json\nbody", None])
def test_a_damaged_entry_counts_as_absent(
    hub: DemoHub, connect: Connect, home: Path, damage: bytes | None
) -> None:
    with connect(hub.url) as client:
        first = client.enums()
        entry = kept_files(home)[0]
        whole = entry.read_bytes()
        entry.write_bytes(whole[:-1] + b"!" if damage is None else damage)
        again = client.enums()
        assert (again.value, again.from_cache) == (first.value, False)
        assert client.enums().from_cache


def test_a_folder_that_cannot_be_written_to_costs_only_the_cache(
    hub: DemoHub, connect: Connect, home: Path
) -> None:
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "api").write_text("a file where a folder should be")
    with connect(hub.url) as client:
        assert client.enums().value == client.enums().value


def test_old_and_too_many_entries_are_dropped(tmp_path: Path) -> None:
    import os

    cache = AnswerCache(tmp_path)
    cache.store(URL, None, b"old", ETAG)
    old = next(path for path in tmp_path.rglob("*") if path.is_file())
    os.utime(old, (0, time.time() - 40 * 86400))
    AnswerCache(tmp_path).store(URL + "0", None, b"new", ETAG)
    assert cache.load(URL, None) is None
    assert cache.load(URL + "0", None) is not None


WRITER = """
import sys
from pathlib import Path
from modelhub.civitai.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]))
for turn in range(300):
    body = bytes([65 + turn % 26]) * (1000 + turn)
    cache.store("u", None, body, {"etag": str(turn)})
    entry = cache.load("u", None)
    assert entry is None or len(set(entry.body)) == 1, "torn"
"""


def test_several_processes_may_share_the_folder(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    entry = AnswerCache(tmp_path).load("u", None)
    assert entry is not None
    assert len(entry.body) == 1000 + int(entry.etag)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_several_threads_may_share_a_client(hub: DemoHub, connect: Connect) -> None:
    failed: list[BaseException] = []
    client = connect(hub.url)

    def ask() -> None:
        try:
            for _ in range(5):
                client.enums()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@given(st.text(max_size=60))
def test_any_cache_control_is_read(value: str) -> None:
    cache_directives({"cache-control": value})


@given(st.dictionaries(st.sampled_from(["cache-control", "age", "etag"]), st.text(max_size=30)))
def test_any_headers_can_be_kept(headers: dict[str, str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        cache = AnswerCache(Path(folder))
        safe = {name: value.encode("utf-8", "replace").decode() for name, value in headers.items()}
        cache.store(URL, "key", b"body", safe)
        entry = cache.load(URL, "key")
        assert entry is None or entry.body == b"body"
        assert cache.load(URL, None) is None
