"""The loop of the process that renders: a request, its answers, the next."""

from __future__ import annotations

import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Protocol

from modelhub.errors import MissingExtra, ModelhubError, NotEnoughMemory, RenderFailed
from modelhub.glibc import give_back
from modelhub.render.answers import Answer, Devices, Loading, Rendered, Stepped, Told
from modelhub.render.worker.failures import failed
from modelhub.render.worker.inbox import Inbox, Job
from modelhub.render.worker.protocol import ListDevices, give_answer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from modelhub.render.request import Request


_SOON = 2.0
"""Seconds within which the images of one comparison, or of a queue, follow on one another."""


class Renders(Protocol):
    """What makes images: :class:`modelhub.render.worker.run.Renderer`."""

    def render(
        self,
        request: Request,
        tell: Callable[[Loading | Stepped | Told], None],
        cancel: threading.Event,
    ) -> Rendered:
        """Make one."""


def serve(connection: Connection) -> None:
    """Answer requests until the connection is closed, or none came for as long as was said.

    What rendering needs is imported at once, while the parent still plans.
    """
    inbox = Inbox(connection)
    beginning = inbox.beginning()
    try:
        from modelhub.render.worker.run import Renderer

        renderer: Renders = Renderer(beginning.memory)
    except MissingExtra as error:
        renderer = _Broken(error)
    except Exception as error:  # a broken installation breaks in any way
        traceback.print_exc()
        renderer = _Broken(
            MissingExtra(
                f"what rendering needs cannot be imported: {_in_words(error)}",
                hint="pip install --force-reinstall 'modelhub[render]'",
            )
        )
    while (job := _next(inbox, beginning.keep_warm)) is not None:
        if isinstance(job, ListDevices):
            give_answer(connection, _devices(job))
            continue
        last = _answer(renderer, job, connection)
        inbox.done(job)
        give_answer(connection, last)


def _next(inbox: Inbox, patience: float) -> Job | ListDevices | None:
    """The next request or question; memory that is free is given back if none comes soon."""
    soon = min(_SOON, patience)
    job = inbox.next(soon)
    if job is None:
        give_back()
        job = inbox.next(patience - soon)
    return job


def _devices(question: ListDevices) -> Answer:
    from modelhub.render.devices import devices

    try:
        found = devices()
    except ModelhubError as error:
        return failed(question.id, error)
    names = tuple(one.torch_name for one in found)
    return Devices(id=question.id, names=names, words=tuple(one.words for one in found))


def _answer(renderer: Renders, job: Job, connection: Connection) -> Answer:
    request = job.request
    try:
        return renderer.render(
            request, lambda progress: give_answer(connection, progress), job.cancel
        )
    except ModelhubError as error:
        return failed(request.id, error)
    except MemoryError:
        traceback.print_exc()
        return failed(request.id, NotEnoughMemory("there is not enough memory for this render"))
    except Exception as error:  # the library's, of any class
        traceback.print_exc()
        return failed(request.id, RenderFailed(f"the render failed: {_in_words(error)}"))


def _in_words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class _Broken:
    """Tells everybody that the packages are there and cannot be imported."""

    def __init__(self, error: MissingExtra) -> None:
        self._error = error

    def render(
        self,
        request: Request,
        tell: Callable[[Loading | Stepped | Told], None],
        cancel: threading.Event,
    ) -> Rendered:
        raise self._error
