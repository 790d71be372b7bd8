"""The parent's side of rendering: a worker process that is kept, and started anew when it died.

Nothing here imports torch; reading headers and planning go on while the process imports it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec

from modelhub.errors import Cancelled, ModelhubError, RenderFailed, UsageError
from modelhub.render.answers import Answer, Devices, Failed, Loading, Rendered, Stepped, Told
from modelhub.render.defaults import check
from modelhub.render.request import Request
from modelhub.render.worker.failures import raised
from modelhub.render.worker.protocol import (
    Begin,
    Cancel,
    ListDevices,
    Render,
    give_order,
    next_answer,
)
from modelhub.render.worker.started import StartedWorker

Progress = Loading | Stepped | Told
Listen = Callable[[Progress], None]

_LOOK_AT_CANCEL = 0.05
"""Seconds between two looks whether the user has cancelled."""


class RenderWorker:
    """Renders in a process of its own, one image at a time; callers on other threads wait.

    To be used with ``with``, or closed. The process is started by the first request, or earlier by
    :meth:`start`, and stays for the next.

    :param keep_warm: seconds after which an idle process ends; the next request starts another.
    :param memory: bytes of loaded parts that it may keep for later requests; 0: as it thinks best.
    :param patience: seconds that a cancelled request may still take before its process is killed.
    """

    def __init__(
        self, *, keep_warm: float = 300.0, memory: int = 0, patience: float = 15.0
    ) -> None:
        self._settings = Begin(keep_warm=keep_warm, memory=memory)
        self._patience = patience
        self._process: StartedWorker | None = None
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.process_id if self._process else None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """What the process wrote last on its standard output and error: for `--debug`."""
        return self._process.last_lines if self._process else ()

    def start(self) -> None:
        """Start the process if there is none; returns at once, while it imports torch.

        :raises MissingExtra: torch or another package of the extra is not installed.
        """
        with self._one_at_a_time:
            self._started()

    def close(self) -> None:
        """End the process; a render under way on another thread is cancelled. May be repeated."""
        self._ended(StartedWorker.close)

    def leave(self) -> None:
        """The same, without waiting until the system has taken back the memory of the process."""
        self._ended(StartedWorker.leave)

    def _ended(self, end: Callable[[StartedWorker], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._one_at_a_time.acquire(blocking=False):
            try:
                end(process)
            finally:
                self._one_at_a_time.release()
        else:
            process.terminate()  # the thread that waits for its answers closes the rest

    def render(self, request: Request, listen: Listen, cancel: threading.Event) -> Rendered:
        """Make the image.

        :param listen: is told of the progress, on this thread.
        :param cancel: may be set by any thread; the process stays, warm, if it obeys in time.
        :raises Cancelled: it was set.
        :raises UsageError: a setting makes no sense.
        :raises RenderWorkerDied: the process crashed or was killed; the next request gets another.
        :raises ModelhubError: whatever else went wrong in there, by its own class.
        """
        _check(request)
        with self._turn(cancel):
            answer = self._asked(request, listen, cancel)
            if answer is None:
                answer = self._asked(request, listen, cancel)
            if cancel.is_set():
                raise _cancelled()
            if answer is None:
                raise RenderFailed("the render worker ends as soon as it is started")
            if isinstance(answer, Failed):
                raise raised(answer)
            return answer

    @contextmanager
    def _turn(self, cancel: threading.Event) -> Iterator[None]:
        """Wait until no other thread speaks to the process, as long as nobody cancels."""
        while not self._one_at_a_time.acquire(timeout=_LOOK_AT_CANCEL):
            if cancel.is_set():
                raise _cancelled()
        try:
            if cancel.is_set():
                raise _cancelled()
            yield
        finally:
            self._one_at_a_time.release()

    def devices(self) -> Devices:
        """What there is to compute on; the first call waits until torch is imported.

        :raises MissingExtra: torch is not installed, or cannot be imported.
        :raises RenderWorkerDied: the process crashed on looking (a driver).
        """
        with self._one_at_a_time:
            process = self._started()
            try:
                give_order(process.connection, ListDevices("devices"))
                while not isinstance(answer := next_answer(process.connection), Devices | Failed):
                    pass
            except (EOFError, OSError):
                died = process.death("while it looked for devices")
                self._drop(process)
                raise died from None
            except BaseException:
                self._drop(process)
                raise
            if isinstance(answer, Failed):
                raise raised(answer)
            return answer

    def _started(self) -> StartedWorker:
        if self._process is None:
            self._process = StartedWorker(self._settings)
        return self._process

    def _asked(
        self, request: Request, listen: Listen, cancel: threading.Event
    ) -> Rendered | Failed | None:
        """The last answer to the request; None: the process ended, idle, before it got it."""
        process = self._started()
        conversation = _Conversation(process, request, cancel, self._patience)
        try:
            return conversation.held(listen)
        except (EOFError, OSError):
            closed = self._process is not process
            idle = not conversation.answered and process.ended_by_itself()
            died = None if closed or idle else process.death(conversation.doing)
            self._drop(process)
            if closed or cancel.is_set():
                raise _cancelled() from None
            if died is not None:
                raise died from None
            return None
        except _Silent:
            self._drop(process)
            raise _cancelled() from None
        except BaseException:
            # Ctrl-C, or a listener that raised: nobody waits for the rest of the answers.
            self._drop(process)
            raise

    def _drop(self, process: StartedWorker) -> None:
        process.kill()
        if self._process is process:
            self._process = None


class _Silent(Exception):
    """The process does not react to the cancelling."""


class _Conversation:
    """One request to a process, and its answers.

    :ivar answered: whether anything came back.
    :ivar doing: what the process was at, as far as it said: "at step 3 of 20".
    """

    def __init__(
        self, process: StartedWorker, request: Request, cancel: threading.Event, patience: float
    ) -> None:
        self._connection = process.connection
        self._request = request
        self._cancel = cancel
        self._patience = patience
        self.answered = False
        self.doing = "before it could load anything"

    def held(self, listen: Listen) -> Rendered | Failed:
        """Ask, and pass the answers on until the last.

        :raises _Silent: cancelled, and no end within the patience.
        :raises EOFError, OSError: the process is gone.
        """
        give_order(self._connection, Render(self._request))
        while True:
            answer = self._next()
            if answer.id != self._request.id:
                continue
            self.answered = True
            if isinstance(answer, Rendered | Failed):
                return answer
            if isinstance(answer, Devices):
                continue
            self._remember(answer)
            if not self._cancel.is_set():
                listen(answer)

    def _next(self) -> Answer:
        while not self._cancel.is_set():
            if self._connection.poll(_LOOK_AT_CANCEL):
                return self._read()
        give_order(self._connection, Cancel(self._request.id))
        deadline = time.monotonic() + self._patience
        while self._connection.poll(max(0.0, deadline - time.monotonic())):
            answer = self._read()
            if isinstance(answer, Rendered | Failed) and answer.id == self._request.id:
                return answer
        raise _Silent

    def _read(self) -> Answer:
        try:
            return next_answer(self._connection)
        except msgspec.MsgspecError as error:
            raise EOFError(f"no answer: {error}") from error

    def _remember(self, answer: Progress) -> None:
        if isinstance(answer, Loading):
            self.doing = f"while it loaded {answer.what}"
        elif isinstance(answer, Stepped) and answer.done < answer.total:
            self.doing = f"at step {answer.done + 1} of {answer.total}"
        elif isinstance(answer, Stepped):
            self.doing = "while it decoded the image"


def _check(request: Request) -> None:
    """Refuse what makes no sense here, where NaN is still NaN: in JSON it is nothing."""
    check(request.settings)
    for lora in request.recipe.loras:
        if not math.isfinite(lora.weight):
            raise UsageError(f"{lora.path}: the weight of a LoRA is a number, not {lora.weight}")


def _cancelled() -> ModelhubError:
    return Cancelled("the render was cancelled", hint="images that were finished are kept")
