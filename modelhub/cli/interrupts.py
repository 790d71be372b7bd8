"""Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the process."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPING = "stopping cleanly; press Ctrl-C again to quit at once"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"


def _tell_on_standard_error(text: str) -> None:
    # Straight to the descriptor: a buffered stream may be in the middle of a write when the
    # signal comes, and would refuse to be entered a second time.
    with suppress(OSError):
        os.write(2, f"\nmodelhub: {text}\n".encode())


class Interrupts:
    """The cancel event of one run, and the signal handlers that set it.

    ``tell`` is called with :data:`STOPPING` at the first signal; the progress view puts its own
    line there while bars are drawn.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.tell: Callable[[str], None] = _tell_on_standard_error
        self._seen = 0
        self._prompting = False
        self._previous: dict[int, object] = {}

    def install(self) -> None:
        """Take over the signals; does nothing outside the main thread or a second time.

        A signal that the caller of the process had ignored (`nohup`, a background job) stays so.
        """
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    @contextmanager
    def prompting(self) -> Iterator[None]:
        """While the user is asked something, Ctrl-C must end the question: KeyboardInterrupt."""
        self._prompting = True
        try:
            yield
        finally:
            self._prompting = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._seen += 1
        if self._seen > 1:
            if os.isatty(2):
                with suppress(OSError):
                    os.write(2, _SHOW_CURSOR + b"\n")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # In a thread of its own: the main thread may be inside `event.wait()` just now, holding the
        # event's lock, and would wait for itself. The low-level call takes no lock of `threading`.
        _thread.start_new_thread(self.event.set, ())
        if self._prompting:
            raise KeyboardInterrupt
        self.tell(STOPPING)
