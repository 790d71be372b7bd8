from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from modelhub.progress import Outcome

from .conftest import Puller


class ForwardProxy(ThreadingHTTPServer):
    """Passes requests in absolute form on, and remembers their hosts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.hosts: list[str] = []


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def do_GET(self) -> None:
        self.server.hosts.append(httpx.URL(self.path).host)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.get(self.path, headers=headers)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_api_and_downloads_go_through_the_configured_proxy(
    library: Puller, proxy: ForwardProxy
) -> None:
    library.set("network", proxy=f"http://127.0.0.1:{proxy.server_port}")

    assert library.one("910001").outcome is Outcome.DONE
    assert set(proxy.hosts) == {"127.0.0.1", "localhost"}
