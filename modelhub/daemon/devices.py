"""What a host makes test images on: as it is configured, or as torch finds it.

Torch is large, so it is asked in a process that ends with its answer, and only once there is a test
image to make.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind

if TYPE_CHECKING:
    from modelhub.config import Config

_log = logging.getLogger(__name__)


class HostDevices:
    """The devices of this host. Any thread may use it.

    :param told: called with what they are whenever that is known: names, the best first.
    """

    def __init__(self, config: Config, told: Callable[[Sequence[str] | None], None]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._looking = False
        self.known: Sequence[str] | None = None
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Go by these settings; what was found before holds where they name no devices."""
        kinds = config.team.kinds
        with self._lock:
            if kinds and JobKind.RENDER not in kinds:
                self.known = ()
            elif config.team.devices:
                self.known = tuple(config.team.devices)
            known = self.known
        self._told(known)

    def look(self) -> None:
        """Find out what there is, if that is not known; returns at once."""
        with self._lock:
            if self._looking or self.known is not None:
                return
            self._looking = True
        threading.Thread(target=self._look, name="devices", daemon=True).start()

    def _look(self) -> None:
        found: Sequence[str] = ()
        try:
            found = _found()
            _log.info("test images are made here", extra={"devices": list(found)})
        except ModelhubError as error:
            _log.warning("no test images are made here", extra={"why": error.message})
        with self._lock:
            self._looking = False
            if self.known is None:
                self.known = found
            known = self.known
        try:
            self._told(known)
        except ModelhubError as error:
            # The others learn of it when this host joins the next time; it goes by it now.
            _log.warning("the other hosts are not told", extra={"why": error.message})


def _found() -> Sequence[str]:
    """All devices that torch knows here.

    :raises MissingExtra: torch is not installed.
    :raises RenderWorkerDied: a driver took the process that looked with it.
    """
    from modelhub.render.client import RenderWorker

    with RenderWorker() as worker:
        return tuple(words.partition(" ")[0] for words in worker.devices().words)
