"""A demo hub, and a scripted HTTP server for what the hub has no reason to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelhub.civitai.client import CivitaiClient
from modelhub.config import Config
from modelhub.config.settings import Civitai
from modelhub.demo.hub import DemoHub


@dataclass
class Reply:
    """What a scripted server answers; `body` may be cut short of its Content-Length by `cut`."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: int = 0


@dataclass(frozen=True)
class Seen:
    """A request that a scripted server got."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave in the middle of an answer are what some tests are about."""


class ScriptedServer:
    """A real HTTP server on loopback that answers by a function of the request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], Reply] = lambda seen: Reply()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                server.seen.append(seen)
                reply = server.answer(seen)
                self.send_response_only(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body) + reply.cut))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(reply.body)
                except OSError:
                    self.close_connection = True
                if reply.cut:
                    self.close_connection = True

            do_GET = do_POST = _reply  # noqa: N815 -- the names that http.server calls

            def log_message(self, format: str, *args: object) -> None:
                return

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def script(self, *replies: Reply) -> None:
        """Answer with these in order, with the last one from then on."""
        left = list(replies)
        self.answer = lambda seen: left.pop(0) if len(left) > 1 else left[0]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


Connect = Callable[..., CivitaiClient]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """modelhub's folders, for this test alone."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MODELHUB_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo-models")


@pytest.fixture
def hub() -> Iterator[DemoHub]:
    """A hub without the demo models: tests publish what they need."""
    with DemoHub(catalogue=False) as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of a server's URL; settings as keywords, closed at the end."""
    clients: list[CivitaiClient] = []

    def make(
        url: str,
        key: str | None = None,
        *,
        cancel: threading.Event | None = None,
        on_wait: Callable[[float, str], None] | None = None,
        **settings: float | bool,
    ) -> CivitaiClient:
        civitai = Civitai(url=url, **{"requests_per_second": 100.0, "retries": 3} | settings)  # type: ignore[arg-type]
        client = CivitaiClient(Config(civitai=civitai), key, cancel=cancel, on_wait=on_wait)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
