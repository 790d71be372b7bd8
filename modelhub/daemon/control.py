"""The control socket: a Unix socket of this user, a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelhub.errors import AlreadyRunning, DiskError, ModelhubError
from modelhub.services.jobs.contact import LARGEST_LINE
from modelhub.services.jobs.place import prepare_socket_folder

_log = logging.getLogger(__name__)
_PATIENCE = 30.0
"""Seconds that a client may take for a line."""
_MOST_CLIENTS = 64

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any] | Iterator[Mapping[str, Any]]]


class ControlSocket:
    """Answers what is asked at the socket.

    :param answers: by what is asked; an iterator's items are sent one by one until the client goes.
    """

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path, self._answers = path, answers
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._clients = threading.Semaphore(_MOST_CLIENTS)
        self._closing = threading.Event()

    def open(self) -> None:
        """Make the socket, for this user alone. One that was left behind by a daemon that was
        killed is replaced: the caller holds the lock, so nobody listens there.

        :raises DiskError: it cannot be made.
        """
        prepare_socket_folder(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if _answers(self._path):
                raise AlreadyRunning(f"another process listens at {self._path}")
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            listener.listen(16)
        except OSError as error:
            listener.close()
            raise DiskError(f"cannot make the socket {self._path}: {error.strerror}") from error
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and take the socket away."""
        self._closing.set()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._closing.is_set():
                    return
                _log.exception("a client could not be taken")
                self._closing.wait(0.5)
                continue
            if not self._clients.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError, ValueError):
                client.settimeout(_PATIENCE)
                with client.makefile("rb") as lines:
                    while line := lines.readline(LARGEST_LINE):
                        for answer in self._answer(line):
                            client.sendall(json.dumps(answer, default=str).encode() + b"\n")
        finally:
            self._clients.release()

    def _answer(self, line: bytes) -> Iterator[Mapping[str, Any]]:
        try:
            question = json.loads(line)
            answer = self._answers[question["ask"]](question)
        except (ValueError, TypeError, KeyError):
            yield {"error": "not understood"}
            return
        except ModelhubError as error:
            yield {"error": error.message, "hint": error.hint}
            return
        if isinstance(answer, Mapping):
            yield answer
        else:
            yield from answer


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(1.0)
        try:
            stream.connect(str(path))
        except OSError:
            return False
    return True
