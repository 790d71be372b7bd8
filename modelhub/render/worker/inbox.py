"""The orders of the parent, taken by a thread while another computes."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import Empty, Queue
from typing import NoReturn

import msgspec

from modelhub.render.request import Request
from modelhub.render.worker.protocol import Begin, Cancel, ListDevices, Render, next_order


@dataclass(frozen=True, slots=True)
class Job:
    """A request, and what its cancelling sets."""

    request: Request
    cancel: threading.Event


class Inbox:
    """Reads orders from the connection until it is closed, and ends the process then, at once,
    whatever it computes: nobody wants it any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._beginning: Queue[Begin] = Queue()
        self._jobs: Queue[Job | ListDevices] = Queue()
        self._cancels: dict[str, threading.Event] = {}
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def beginning(self) -> Begin:
        """Wait for the first order."""
        return self._beginning.get()

    def next(self, patience: float) -> Job | ListDevices | None:
        """Wait for a request or a question; None: none came in so many seconds."""
        try:
            return self._jobs.get(timeout=patience)
        except Empty:
            return None

    def done(self, job: Job) -> None:
        """The request was answered: it can no more be cancelled."""
        self._cancels.pop(job.request.id, None)

    def _read(self) -> NoReturn:
        try:
            while True:
                order = next_order(self._connection)
                if isinstance(order, Begin):
                    self._beginning.put(order)
                elif isinstance(order, Render):
                    self._take(order.request)
                elif isinstance(order, ListDevices):
                    self._jobs.put(order)
                elif isinstance(order, Cancel) and order.id in self._cancels:
                    self._cancels[order.id].set()
        except (EOFError, OSError):
            os._exit(0)
        except msgspec.MsgspecError as error:
            os.write(2, f"not an order: {error}\n".encode())
            os._exit(1)

    def _take(self, request: Request) -> None:
        job = Job(request, threading.Event())
        self._cancels[request.id] = job.cancel
        self._jobs.put(job)
