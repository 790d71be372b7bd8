"""Against a real HTTP/2 server over TLS, with a certificate of its own authority."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from modelhub.civitai.client import CivitaiClient
from modelhub.config import Config
from modelhub.config.settings import Civitai, Network
from modelhub.errors import Unreachable


class Http2Server:
    """Answers every request with a model whose id is the last part of its path."""

    def __init__(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2"])
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.streams = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as sock:
                self.connections += 1
                self._talk(sock)
        except OSError:
            plain.close()

    def _talk(self, sock: ssl.SSLSocket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._answer(connection, event)
            sock.sendall(connection.data_to_send())

    def _answer(
        self, connection: h2.connection.H2Connection, event: h2.events.RequestReceived
    ) -> None:
        self.streams += 1
        path = dict(event.headers)[b":path"].decode()
        body = b'{"id": %d}' % int(path.rpartition("/")[2])
        headers = [(":status", "200"), ("content-type", "application/json")]
        connection.send_headers(event.stream_id, headers)
        connection.send_data(event.stream_id, body, end_stream=True)


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[Http2Server, Path]]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    server = Http2Server(certificate, key)
    yield server, certificate
    server.close()


def settings(url: str, ca_file: str) -> Config:
    civitai = Civitai(url=url, requests_per_second=100.0, retries=0, cache=False)
    return Config(civitai=civitai, network=Network(ca_file=ca_file))


def test_many_threads_share_one_http2_connection(certified: tuple[Http2Server, Path]) -> None:
    server, certificate = certified
    with CivitaiClient(settings(server.url, str(certificate)), "some-key") as client:
        client.model(1)
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda number: client.model(number).value.id, range(1, 41))
            assert list(found) == list(range(1, 41))
    assert (server.connections, server.streams) == (1, 41)


def test_a_certificate_of_an_unknown_authority_is_said_to_be_so(
    certified: tuple[Http2Server, Path],
) -> None:
    server, _ = certified
    with (
        CivitaiClient(settings(server.url, ""), "some-key") as client,
        pytest.raises(Unreachable, match="not trusted") as caught,
    ):
        client.model(1)
    assert "network.ca_file" in caught.value.hint
    assert server.streams == 0
