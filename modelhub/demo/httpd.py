"""The ground both servers stand on: threads that end, silence about broken connections, faults.

A handler answers with a :class:`Reply`; sending it is done here, because that is where bodies
are cut, held up, slowed down and damaged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

from modelhub.demo.faults import Fault, FaultKind, ServerName

if TYPE_CHECKING:
    from modelhub.demo.hub import DemoHub

_log = logging.getLogger(__name__)
_CHUNK = 1 << 18
_LONGEST_BODY = 4 << 20

Query: TypeAlias = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """One request, as it came and as it was answered; header names are in lower case."""

    server: ServerName
    method: str
    path: str
    query: Query
    headers: dict[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler sees of a request."""

    method: str
    path: str
    raw_query: str
    query: Query
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    def first(self, name: str) -> str | None:
        """The first value of a query parameter; None when it is absent or empty."""
        return next((value for value in self.query.get(name, []) if value), None)


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes of `path` from `start`."""

    path: Path
    start: int
    length: int


@dataclass(slots=True)
class Reply:
    """An answer. `fault_target` is what body faults are matched with."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: list[bytes | Span] = field(default_factory=list)
    stored_change: Callable[[Fault], None] | None = None
    """What ``change_file`` and ``expire_link`` do to the file that is served."""

    @property
    def length(self) -> int:
        """Of the body, in bytes."""
        return sum(len(part) if isinstance(part, bytes) else part.length for part in self.body)


def json_reply(status: int, value: Any, **headers: str) -> Reply:
    """`value` as JSON; underscores in header names stand for dashes."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, {"Content-Type": "application/json; charset=utf-8", **named}, [body])


class ConnectionCut(Exception):
    """A fault ends the connection here."""

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class LoopbackServer(ThreadingHTTPServer):
    """A threading server on 127.0.0.1 that stops at once, connections and threads included."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, handler: type[HubHandler], name: ServerName, hub: DemoHub):
        self.name = name
        self.hub = hub
        self.stopping = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=f"demo-{name}",
            daemon=True,
        )
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as HTTPServer would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection in a thread of its own."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=f"demo-{self.name}-connection",
            daemon=True,
        )
        with self._open_lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        with self._open_lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke; log what is our own mistake."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("the demo hub failed to answer")

    def stop(self) -> None:
        """End every connection and thread."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._open_lock:
            left = dict(self._open)
        for connection, thread in left.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)


class HubHandler(BaseHTTPRequestHandler, ABC):
    """One connection; subclasses answer requests in :meth:`answer`."""

    protocol_version = "HTTP/1.1"
    server_version = "demo"
    sys_version = ""
    disable_nagle_algorithm = True
    server: LoopbackServer

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The reply to `request`."""

    def _serve(self) -> None:
        request = self._read_request()
        try:
            if request is None:
                reply = json_reply(413, {"error": "Body too large"}, Connection="close")
            else:
                reply = self.answer(request)
        except Exception:
            _log.exception("the demo hub failed to answer %s", self.path)
            reply = json_reply(500, {"error": "Internal Server Error"}, Connection="close")
        try:
            self._send(request, reply)
        except ConnectionCut as cut:
            self.close_connection = True
            if cut.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = _serve  # noqa: N815

    def _read_request(self) -> Request | None:
        path, _, raw_query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or int(length) > _LONGEST_BODY:
            return None
        return Request(
            method=self.command,
            path=path,
            raw_query=raw_query,
            query=parse_qs(raw_query, keep_blank_values=True),
            headers=headers,
            body=self.rfile.read(int(length)),
        )

    def claim(
        self,
        request: Request,
        *kinds: FaultKind,
        applies: Callable[[Fault], bool] = lambda fault: True,
    ) -> Fault | None:
        """The first fault of `kinds` that strikes `request`."""
        name = self.server.name
        target = request.target if name == "api" else request.path
        return self.server.hub.faults.claim(kinds, name, target, applies)

    def _send(self, request: Request | None, reply: Reply) -> None:
        plan = BodyPlan.claimed(self, request, reply) if request else BodyPlan()
        chunked = False
        if request and reply.length and self.claim(request, "no_content_length"):
            chunked = True
            reply.headers["Transfer-Encoding"] = "chunked"
        elif "Content-Length" not in reply.headers and reply.status not in (204, 304):
            reply.headers["Content-Length"] = str(reply.length + plan.length_off_by)
        if plan.length_off_by:
            reply.headers["Connection"] = "close"
        if reply.headers.get("Connection") == "close":
            self.close_connection = True
        if request is not None:
            self.server.hub.saw(self.server.name, request, reply.status)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and reply.body:
            self._send_body(reply, plan, chunked)

    def _send_body(self, reply: Reply, plan: BodyPlan, chunked: bool) -> None:
        sent = 0
        for chunk in _chunks(reply.body, plan):
            left = memoryview(chunk)
            while left:
                plan.act(sent, reply, self.server.stopping)
                part = left[: plan.room(sent)]
                left = left[len(part) :]
                # Counted first: whoever has read the answer finds its bytes counted.
                self.server.hub.count_bytes(self.server.name, len(part))
                if chunked:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), bytes(part)))
                else:
                    self.wfile.write(part)
                sent += len(part)
                plan.pace(len(part), self.server.stopping)
        plan.act(sent, reply, self.server.stopping)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: `DemoHub.requests` has it all."""


@dataclass(slots=True)
class BodyPlan:
    """What is going to happen to one body."""

    stop: Fault | None = None
    slow: Fault | None = None
    corrupt: Fault | None = None
    length_off_by: int = 0

    @classmethod
    def claimed(cls, handler: HubHandler, request: Request, reply: Reply) -> BodyPlan:
        """The faults that strike this body."""
        if request.method == "HEAD" or not reply.body:
            return cls()

        def reached(fault: Fault) -> bool:
            lasting = fault.kind in ("change_file", "expire_link")
            return fault.after < reply.length and (not lasting or reply.stored_change is not None)

        def covered(fault: Fault) -> bool:
            return any(
                isinstance(part, Span) and 0 <= fault.offset - part.start < part.length
                for part in reply.body
            )

        wrong_length = handler.claim(request, "wrong_length")
        return cls(
            stop=handler.claim(
                request, "drop", "stall", "change_file", "expire_link", applies=reached
            ),
            slow=handler.claim(request, "slow"),
            corrupt=handler.claim(request, "corrupt", applies=covered),
            length_off_by=max(wrong_length.by, -reply.length) if wrong_length else 0,
        )

    def act(self, sent: int, reply: Reply, stopping: threading.Event) -> None:
        """What is due after `sent` bytes.

        :raises ConnectionCut: the connection ends here.
        """
        fault = self.stop
        if fault is None or sent < fault.after:
            return
        self.stop = None
        if fault.kind == "stall":
            until = time.monotonic() + (fault.seconds if fault.seconds is not None else 1e9)
            while time.monotonic() < until and not stopping.is_set():
                if fault.removed.wait(0.02):
                    break
            if stopping.is_set():
                raise ConnectionCut(reset=False)
            return
        if reply.stored_change is not None and fault.kind != "drop":
            reply.stored_change(fault)
        raise ConnectionCut(fault.reset)

    def room(self, sent: int) -> int:
        """How many bytes may be sent in one go after `sent`."""
        room = _CHUNK
        if self.stop is not None:
            room = min(room, self.stop.after - sent)
        if self.slow is not None:
            room = min(room, max(1, self.slow.rate // 20))
        return room

    def pace(self, count: int, stopping: threading.Event) -> None:
        """Wait as long as `count` bytes take at the rate of a slow drip."""
        if self.slow is None or self.slow.removed.is_set():
            return
        if stopping.wait(count / max(1, self.slow.rate)):
            raise ConnectionCut(reset=False)


def _chunks(body: list[bytes | Span], plan: BodyPlan) -> Iterator[bytes]:
    for part in body:
        if isinstance(part, bytes):
            yield part
        else:
            yield from _read(part, plan.corrupt)


def _read(span: Span, corrupt: Fault | None) -> Iterator[bytes]:
    position, end = span.start, span.start + span.length
    with span.path.open("rb") as stream:
        stream.seek(position)
        while position < end:
            chunk = stream.read(min(_CHUNK, end - position))
            if not chunk:
                return
            if corrupt is not None and 0 <= corrupt.offset - position < len(chunk):
                damaged = bytearray(chunk)
                damaged[corrupt.offset - position] ^= 0xFF
                chunk = bytes(damaged)
            yield chunk
            position += len(chunk)
