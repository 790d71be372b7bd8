"""Waiting that the user can end: every wait of this layer notices `cancel` within 0.1 seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from modelhub.errors import Cancelled

T = TypeVar("T")

_TICK: Final = 0.1


def stop_if_cancelled(cancel: threading.Event | None) -> None:
    """Raise if the user stopped it.

    :raises Cancelled: `cancel` is set.
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled("stopped while asking Civitai")


def pause(seconds: float, cancel: threading.Event | None) -> None:
    """Wait for `seconds`.

    :raises Cancelled: `cancel` was set meanwhile.
    """
    if cancel is None:
        time.sleep(max(seconds, 0.0))
    else:
        cancel.wait(max(seconds, 0.0))
        stop_if_cancelled(cancel)


def interruptible(work: Callable[[], T], cancel: threading.Event | None) -> T:
    """Call `work`, which may block in the network until its timeout, and leave it on cancel.

    A blocked socket cannot be woken portably, least of all inside TLS. So the work runs in a thread
    of its own, which is abandoned: it ends with its request, and its outcome is dropped.

    :raises Cancelled: `cancel` was set before it was done.
    """
    if cancel is None:
        return work()
    stop_if_cancelled(cancel)
    done = threading.Event()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="civitai-request", daemon=True).start()
    while not done.wait(_TICK):
        stop_if_cancelled(cancel)
    if failure:
        raise failure[0]
    return outcome[0]
