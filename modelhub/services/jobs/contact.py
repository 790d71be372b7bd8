"""Talking to the daemon: a line of JSON out, a line of JSON back, over its Unix socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.errors import DaemonFailed, DaemonNotRunning
from modelhub.services.jobs.place import JobsPlace

_PATIENCE = 5.0
LARGEST_LINE = 1 << 20


class Contact:
    """The way to the daemon of a library on this host, whether it runs or not."""

    def __init__(self, place: JobsPlace) -> None:
        self._place = place

    def attended(self) -> bool:
        """Whether a daemon is there: its lock is held. No answer is waited for."""
        import filelock

        if not self._place.lock.exists():
            return False
        lock = filelock.FileLock(self._place.lock, timeout=0)
        try:
            with lock:
                return False
        except filelock.Timeout:
            return True
        except OSError:
            return False

    def wake(self) -> bool:
        """Have the daemon look for work at once; False where there is none that hears it."""
        try:
            self.ask("wake", patience=1.0)
        except (DaemonNotRunning, DaemonFailed):
            return False
        return True

    def ask(self, what: str, *, patience: float = _PATIENCE, **values: Any) -> dict[str, Any]:
        """The daemon's answer.

        :raises DaemonNotRunning: nobody answers at its socket.
        :raises DaemonFailed: the answer did not come in time, was none, or is an error.
        """
        with self._connected(patience) as stream:
            _send(stream, {"ask": what, **values})
            with stream.makefile("rb") as lines:
                answer = _received(lines.readline(LARGEST_LINE))
        if "error" in answer:
            raise DaemonFailed(f"the daemon answers: {answer['error']}")
        return answer

    def events(self, *, patience: float = _PATIENCE) -> Iterator[dict[str, Any]]:
        """What the daemon tells of its jobs as it happens; an empty one every few seconds.

        :raises DaemonNotRunning: nobody answers at its socket, or it ends.
        :raises DaemonFailed: it is silent for too long.
        """
        with self._connected(patience) as stream:
            _send(stream, {"ask": "events"})
            with stream.makefile("rb") as lines:
                while True:
                    line = lines.readline(LARGEST_LINE)
                    if not line:
                        raise DaemonNotRunning("the daemon has ended")
                    yield _received(line)

    @contextmanager
    def _connected(self, patience: float) -> Iterator[socket.socket]:
        path = str(self._place.socket)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(patience)
            try:
                stream.connect(path)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise DaemonNotRunning("no daemon runs for this library") from error
            except OSError as error:
                raise DaemonFailed(f"cannot reach the daemon at {path}: {error}") from error
            try:
                yield stream
            except TimeoutError as error:
                raise DaemonFailed(f"the daemon does not answer at {path}") from error
            except OSError as error:
                raise DaemonNotRunning(f"the daemon has ended: {error}") from error


def _send(stream: socket.socket, message: dict[str, Any]) -> None:
    stream.sendall(json.dumps(message).encode() + b"\n")


def _received(line: bytes) -> dict[str, Any]:
    if not line:
        raise DaemonNotRunning("the daemon ended before it answered")
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise DaemonFailed("the daemon's answer is no JSON") from error
    if not isinstance(answer, dict):
        raise DaemonFailed("the daemon's answer has another shape than expected")
    return answer
