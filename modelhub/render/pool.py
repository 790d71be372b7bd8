"""Several workers, one a device: each request goes to one that is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from modelhub.errors import ModelhubError
from modelhub.render.answers import Rendered
from modelhub.render.client import Listen, RenderWorker
from modelhub.render.request import Recipe, Request


@dataclass(slots=True)
class _Seat:
    """A worker and its device.

    :ivar recipe: of the last request: what is warm there.
    """

    device: str | None
    worker: RenderWorker
    free: bool = True
    recipe: Recipe | None = None


class RenderPool:
    """One worker a device; to be used with ``with``, or closed. Any thread may call.

    :param devices: by name (``cuda:0``); None: that worker chooses by itself. At least one.
    :param make: gives the worker of each.
    """

    def __init__(
        self,
        devices: Sequence[str | None] = (None,),
        make: Callable[[], RenderWorker] = RenderWorker,
    ) -> None:
        self._make = make
        self._seats = [_Seat(device, make()) for device in devices]
        self._changed = threading.Condition()
        self._may_widen = False

    @classmethod
    def of_all_gpus(cls, make: Callable[[], RenderWorker] = RenderWorker) -> Self:
        """One worker for each GPU of the best kind, or a single one where there is one or none.

        Which there are, the first worker tells once it has started; nobody waits for that.
        """
        pool = cls((None,), make)
        pool._may_widen = True
        return pool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._seats)

    def start(self) -> None:
        """Start all processes; returns at once, while they import torch.

        :raises MissingExtra: torch or another package of the extra is not installed.
        """
        self._look_for_gpus()
        for seat in self._seats:
            seat.worker.start()

    def _look_for_gpus(self) -> None:
        with self._changed:
            wanted, self._may_widen = self._may_widen, False
        if wanted:
            threading.Thread(target=self._widen, name="gpus", daemon=True).start()

    def _widen(self) -> None:
        """A seat for each GPU of the best kind, where there are several."""
        first = self._seats[0]
        try:
            names = first.worker.devices().names
        except ModelhubError:
            return  # the picture that is waited for tells why
        kind = names[0].partition(":")[0]
        same = [name for name in names if name.partition(":")[0] == kind]
        if len(same) < 2:
            return
        with self._changed:
            first.device = same[0]
            self._seats += [_Seat(name, self._make()) for name in same[1:]]
            self._changed.notify_all()

    def close(self) -> None:
        """End all processes; what they render is cancelled."""
        for seat in self._seats:
            seat.worker.close()

    def leave(self) -> None:
        """The same, without waiting until the system has taken back their memory."""
        for seat in self._seats:
            seat.worker.leave()

    def render(self, request: Request, listen: Listen, cancel: threading.Event) -> Rendered:
        """Make the image, on the device that the request names, or on one that is free: rather
        where the same files were rendered last. Waits for one.

        :raises ModelhubError: as :meth:`RenderWorker.render`.
        """
        seat = self._take(request)
        try:
            wish = request.wish
            if wish.device is None and seat.device is not None:
                wish = msgspec.structs.replace(wish, device=seat.device)
            placed = msgspec.structs.replace(request, wish=wish)
            return seat.worker.render(placed, listen, cancel)
        finally:
            with self._changed:
                seat.free, seat.recipe = True, request.recipe
                self._changed.notify_all()

    def render_all(
        self, requests: Sequence[Request], listen: Listen, cancel: threading.Event
    ) -> Iterator[tuple[Request, Rendered | ModelhubError]]:
        """Make many images, as many at a time as there are workers, in the order given; each comes
        out as soon as it is done. One that fails does not stop the others; cancelling makes those
        that are left fail with :class:`modelhub.errors.Cancelled`.

        :param listen: is told of the progress of all, from several threads.
        """
        with ThreadPoolExecutor(len(self._seats), thread_name_prefix="render") as threads:
            left = iter(requests)
            under_way: dict[Future[Rendered], Request] = {}

            def fill() -> None:
                for request in left:
                    under_way[threads.submit(self.render, request, listen, cancel)] = request
                    if len(under_way) >= len(self._seats):
                        return

            try:
                fill()
                while under_way:
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        yield under_way.pop(future), _outcome(future)
                    fill()
            finally:
                if under_way:  # the caller stopped listening
                    cancel.set()

    def _take(self, request: Request) -> _Seat:
        self._look_for_gpus()
        with self._changed:
            while (seat := self._free_for(request)) is None:
                self._changed.wait()
            seat.free = False
            return seat

    def _free_for(self, request: Request) -> _Seat | None:
        named = [seat for seat in self._seats if seat.device == request.wish.device]
        candidates = named if request.wish.device is not None and named else self._seats
        free = [seat for seat in candidates if seat.free]
        return min(free, key=lambda seat: _unlike(seat.recipe, request.recipe), default=None)


def _unlike(warm: Recipe | None, wanted: Recipe) -> int:
    """How little of what is warm serves: 0 is all of it."""
    if warm is None:
        return 2
    if warm == wanted:
        return 0
    return 1 if warm.model == wanted.model else 3


def _outcome(future: Future[Rendered]) -> Rendered | ModelhubError:
    error = future.exception()
    if isinstance(error, ModelhubError):
        return error
    return future.result()
