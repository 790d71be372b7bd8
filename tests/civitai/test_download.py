from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import httpx
import pytest

from modelhub.civitai.references import FileWish
from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.published import Disposition, PublishedFile, PublishedModel, PublishedVersion
from modelhub.errors import (
    AccessForbidden,
    ArchivedModel,
    DownloadsDisabled,
    EarlyAccess,
    KeyRefused,
    LoginRequired,
    NoMatchingFile,
    NotAModelFile,
    RateLimited,
    RedirectRefused,
    ServerFault,
    UnexpectedAnswer,
    UnknownModel,
)

from .conftest import Connect, Reply, ScriptedServer, Seen

VERSION = "/api/download/models/7"


@pytest.fixture
def storage() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


def published(
    hub: DemoHub, *files: PublishedFile, mode: str | None = None, **version: object
) -> PublishedVersion:
    listed = list(files) or [PublishedFile(name="m.safetensors", content=b"content")]
    one = PublishedVersion(name="v1", files=listed, **version)  # type: ignore[arg-type]
    return hub.publish(PublishedModel(name="M", versions=[one], mode=mode)).versions[0]


def test_a_version_leads_to_a_link_that_gives_the_file(hub: DemoHub, connect: Connect) -> None:
    version = published(hub)
    with connect(hub.url, hub.key) as client:
        link = client.download_link(version.id)
    assert link.url.startswith(hub.storage_url)
    assert link.filename == "m.safetensors"
    assert link.headers == {}
    assert [seen.server for seen in hub.requests] == ["api"], "the link itself is not asked"
    assert hub.requests[0].headers["authorization"] == f"Bearer {hub.key}"
    assert httpx.get(link.url).content == b"content"


def test_a_file_is_named_by_its_id_or_its_traits(hub: DemoHub, connect: Connect) -> None:
    version = published(
        hub,
        PublishedFile(name="a.safetensors", content=b"a"),
        PublishedFile(name="b.ckpt", content=b"b", format="PickleTensor", fp="fp32"),
    )
    second = version.files[1].id
    with connect(hub.url) as client:
        assert client.download_link(version.id, file_id=second).filename == "b.ckpt"
        assert hub.requests[-1].query == {"fileId": [str(second)]}
        wish = FileWish(format="PickleTensor", fp="fp32")
        assert client.download_link(version.id, wish=wish).filename == "b.ckpt"
        with pytest.raises(NoMatchingFile, match="fp nf4"):
            client.download_link(version.id, wish=FileWish(fp="nf4", type="Model"))
        with pytest.raises(UnknownModel, match=f"file 99 of version {version.id}"):
            client.download_link(version.id, file_id=99)


def test_a_linked_vae_is_asked_for_by_its_own_url(hub: DemoHub, connect: Connect) -> None:
    version, vae = published(hub), published(hub, PublishedFile(name="vae.pt", content=b"v"))
    own = f"{hub.url}/api/download/models/{vae.id}"
    with connect(hub.url) as client:
        link = client.download_link(version.id, file_id=987654, published_url=own)
        assert link.filename == "vae.pt"
        assert client.download_link(own).filename == "vae.pt"


@pytest.mark.parametrize("form", ["plain", "extended", "both", "none"])
def test_the_name_is_read_raw_from_the_link(
    hub: DemoHub, connect: Connect, form: Disposition
) -> None:
    name = '../naïve "麦"\n.safetensors'
    version = published(hub, PublishedFile(name=name, content=b"c", disposition=form))
    with connect(hub.url) as client:
        found = client.download_link(version.id).filename
    plain = '../na_ve "_"_.safetensors'
    assert found == {"plain": plain, "extended": name, "both": name, "none": None}[form]


def test_neither_link_nor_key_shows_in_a_representation(hub: DemoHub, connect: Connect) -> None:
    version = published(hub)
    with connect(hub.url) as client:
        link = client.download_link(version.id)
    assert urlsplit(link.url).query
    assert urlsplit(link.url).query not in repr(link)
    assert urlsplit(link.url).path not in repr(link)


def test_a_login_is_asked_for_only_without_a_key(hub: DemoHub, connect: Connect) -> None:
    version = published(hub, login_required=True)
    with connect(hub.url, hub.key) as client:
        assert client.download_link(version.id).filename == "m.safetensors"
    with pytest.raises(LoginRequired, match="logged in") as caught, connect(hub.url) as client:
        client.download_link(version.id)
    assert "modelhub login" in caught.value.hint
    with pytest.raises(KeyRefused) as refused, connect(hub.url, "old-key") as client:
        client.download_link(version.id)
    assert "old-key" not in refused.value.message


def test_early_access_names_its_end_in_local_time(
    hub: DemoHub, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "XYZ-05:30")
    time.tzset()
    try:
        until = dt.datetime(2199, 12, 31, 20, 45, tzinfo=dt.UTC)
        version = published(hub, early_access_until=until)
        with connect(hub.url, hub.key) as client, pytest.raises(EarlyAccess) as caught:
            client.download_link(version.id)
        assert "until 2200-01-01 02:15 XYZ" in caught.value.message
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_the_creator_or_the_site_has_closed_is_told_apart(
    hub: DemoHub, connect: Connect
) -> None:
    with connect(hub.url, hub.key) as client:
        with pytest.raises(DownloadsDisabled):
            client.download_link(published(hub, usage_control="Generation").id)
        with pytest.raises(ArchivedModel):
            client.download_link(published(hub, mode="Archived").id)
        with pytest.raises(UnknownModel):
            client.download_link(published(hub, status="Draft").id)


@pytest.mark.parametrize(
    ("reply", "error", "message", "hint"),
    [
        (Reply(400, b'{"error": "Invalid type"}'), NoMatchingFile, "Invalid type", ""),
        (Reply(403, b'{"error": "Forbidden"}'), AccessForbidden, "Forbidden", "VPN"),
        (
            Reply(403, b'{"error": "You do not have access to download this file"}'),
            AccessForbidden,
            "may not download version 7",
            "some accounts",
        ),
        (Reply(403, b'{"error": "Early Access"}'), EarlyAccess, "bought", "API key"),
        (Reply(403, b'{"error": "Early Access", "deadline": 5}'), EarlyAccess, "bought", ""),
        (Reply(403, b"<html>", content_type="text/html"), AccessForbidden, "refuses", "Cloudflare"),
        (Reply(404, b'{"error": "File not found"}'), UnknownModel, "version 7", "deleted"),
        (Reply(410, b'{"error": "Model archived"}'), ArchivedModel, "Model archived", ""),
        (Reply(418, b"teapot"), UnexpectedAnswer, "418", ""),
        (Reply(429, b'{"error": "unusual"}', {"Retry-After": "999"}), RateLimited, "unusual", ""),
        (Reply(521, b"<html>", content_type="text/html"), ServerFault, "521", "maintenance"),
        (Reply(200, b"<html>", content_type="text/html"), NotAModelFile, "text/html", "login"),
        (Reply(200, b"{}"), NotAModelFile, "application/json", ""),
        (Reply(302), RedirectRefused, "nowhere", ""),
        (Reply(302, headers={"Location": "/login?returnUrl=x"}), LoginRequired, "log in", "login"),
        (
            Reply(302, headers={"Location": "/model-versions/7"}),
            NotAModelFile,
            "a page",
            "early access",
        ),
    ],
)
def test_every_answer_of_the_download_table_is_an_error_of_its_own(
    server: ScriptedServer,
    connect: Connect,
    reply: Reply,
    error: type[Exception],
    message: str,
    hint: str,
) -> None:
    server.script(reply)
    with connect(server.url, retries=0) as client, pytest.raises(error, match=message) as caught:
        client.download_link(7)
    assert type(caught.value) is error
    assert hint in getattr(caught.value, "hint")  # noqa: B009


def test_a_login_redirect_with_a_key_means_that_the_key_is_refused(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script(Reply(302, headers={"Location": "/login?returnUrl=x"}))
    with connect(server.url, "some-key") as client, pytest.raises(KeyRefused):
        client.download_link(7)


def test_a_fault_of_the_storage_is_retried_twice(
    server: ScriptedServer, storage: ScriptedServer, connect: Connect
) -> None:
    fault = Reply(404, b'{"error": "File not found"}', {"Cache-Control": "private, no-store"})
    with connect(server.url, retries=9) as client:
        server.script(fault, fault, Reply(302, headers={"Location": storage.url + "/file"}))
        assert client.download_link(7).url == storage.url + "/file"
        server.seen.clear()
        server.script(fault)
        with pytest.raises(UnknownModel, match="tried 3 times"):
            client.download_link(7)
        assert len(server.seen) == 3
        server.seen.clear()
        server.script(Reply(404, b"{}", {"Cache-Control": "no-store, max-age=0"}))
        with pytest.raises(UnknownModel):
            client.download_link(7)
        assert len(server.seen) == 1


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "html_page"])
def test_what_passes_is_waited_out(hub: DemoHub, connect: Connect, kind: str) -> None:
    version = published(hub)
    hub.faults.add(Fault(kind=kind, server="api", times=2))
    with connect(hub.url) as client:
        assert client.download_link(version.id).filename == "m.safetensors"
    assert len(hub.requests) == 3


def test_a_redirect_loop_is_left(hub: DemoHub, connect: Connect) -> None:
    version = published(hub)
    hub.faults.add(Fault(kind="redirect_loop", times=None))
    with connect(hub.url) as client, pytest.raises(RedirectRefused):
        client.download_link(version.id)
    assert len(hub.requests) <= 11


def test_redirects_without_end_are_left_after_ten(server: ScriptedServer, connect: Connect) -> None:
    server.answer = lambda seen: Reply(
        302, headers={"Location": f"{VERSION}?hop={len(server.seen)}"}
    )
    with connect(server.url) as client, pytest.raises(RedirectRefused, match="after 10 redirects"):
        client.download_link(7)
    assert len(server.seen) == 11


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/m.safetensors",
        "ftp://files.example/m",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[broken",
        "https://files.example:99999/",
        "https:///nowhere",
        "https://files.example/\x01",
    ],
)
def test_a_redirect_to_where_no_file_may_come_from_is_refused(
    hub: DemoHub, connect: Connect, url: str
) -> None:
    version = published(hub)
    hub.faults.add(Fault(kind="redirect_to", url=url, times=None))
    with connect(hub.url) as client, pytest.raises(RedirectRefused) as caught:
        client.download_link(version.id)
    assert caught.value.message.isprintable()


def test_a_redirect_to_another_https_host_is_the_link_and_sees_no_key(
    hub: DemoHub, connect: Connect
) -> None:
    version = published(hub)
    url = "https://files.example/m?X-Amz-Signature=abc&response-content-disposition=" + quote(
        'attachment; filename="x.safetensors"'
    )
    hub.faults.add(Fault(kind="redirect_to", url=url))
    with connect(hub.url, hub.key) as client:
        link = client.download_link(version.id)
    assert (link.url, link.filename, link.headers) == (url, "x.safetensors", {})


@pytest.mark.parametrize(
    "url", ["http://civitai.com" + VERSION, "ftp://civitai.com" + VERSION, "x"]
)
def test_an_address_that_is_not_safe_is_refused_before_anything_is_sent(
    connect: Connect, url: str
) -> None:
    with connect("https://civitai.com") as client, pytest.raises(RedirectRefused):
        client.download_link(url)


def test_an_address_on_another_host_is_a_link_already(
    server: ScriptedServer, storage: ScriptedServer, connect: Connect
) -> None:
    with connect(server.url, "some-key") as client:
        link = client.download_link(storage.url + VERSION)
    assert (link.url, link.headers) == (storage.url + VERSION, {})
    assert server.seen == storage.seen == []


def test_within_the_api_the_key_follows_only_to_its_own_paths(
    server: ScriptedServer, storage: ScriptedServer, connect: Connect
) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.target == VERSION:
            return Reply(307, headers={"Location": "/api/download/models/7/moved"})
        return Reply(307, headers={"Location": "/files/m.safetensors?sig=1"})

    server.answer = answer
    with connect(server.url, "some-key") as client:
        link = client.download_link(7)
    assert [seen.headers.get("authorization") for seen in server.seen] == ["Bearer some-key"] * 2
    assert (link.url, link.headers) == (f"{server.url}/files/m.safetensors?sig=1", {})


def test_an_api_that_sends_the_file_itself_is_the_link_with_the_key(
    server: ScriptedServer, connect: Connect
) -> None:
    disposition = "attachment; filename*=UTF-8''na%C3%AFve.safetensors"
    server.script(
        Reply(200, b"weights", {"Content-Disposition": disposition}, "application/octet-stream")
    )
    with connect(server.url, "some-key") as client:
        link = client.download_link(7)
    assert (link.url, link.filename) == (server.url + VERSION, "naïve.safetensors")
    assert link.headers == {"Authorization": "Bearer some-key"}
    assert "some-key" not in repr(link)
    with connect(server.url) as client:
        assert client.download_link(7).headers == {}


def test_a_file_that_the_api_sends_itself_is_not_read() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sent = 0

    def serve() -> None:
        nonlocal sent
        connection, _ = listener.accept()
        connection.recv(65536)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        connection.sendall(head + b"Content-Length: 1000000000\r\n\r\n")
        try:
            while sent < 1_000_000_000:
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    from modelhub.civitai.client import CivitaiClient
    from modelhub.config import Config
    from modelhub.config.settings import Civitai

    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with CivitaiClient(Config(civitai=Civitai(url=url)), None) as client:
        assert client.download_link(7).url == url + VERSION
    thread.join()
    listener.close()
    assert sent < 50_000_000
