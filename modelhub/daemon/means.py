"""What jobs are done with, and what is kept between them: settings, key, processes that render."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from modelhub.daemon.memory import give_back
from modelhub.services.jobs.model import JobKind
from modelhub.services.jobs.shared import Shared

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.render.pool import RenderPool

_KEY_LASTS = 30.0
"""Seconds after which a keyring is asked again: `modelhub login` may have come meanwhile."""


class Means:
    """Settings, key and render processes. Any thread may use it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._key: str | None = None
        self._key_at = float("-inf")
        self._pool: RenderPool | None = None
        self.shared = Shared()

    def key(self) -> str | None:
        """The Civitai API key, or None.

        :raises ModelhubError: what is stored is no key, or lies open.
        """
        from modelhub.services.credentials import find_key

        with self._lock:
            if time.monotonic() - self._key_at > _KEY_LASTS:
                found = find_key()
                self._key = found.value if found else None
                self._key_at = time.monotonic()
            return self._key

    def pool(self, kind: JobKind) -> RenderPool | None:
        """The processes that render, for a kind of job that does; they end when long unused."""
        if kind is not JobKind.RENDER:
            return None
        with self._lock:
            if self._pool is None:
                from modelhub.services.render.workers import workers_of_all_gpus

                self._pool = workers_of_all_gpus(self.config)
            return self._pool

    def reload(self, config: Config) -> None:
        """Use other settings from now on."""
        with self._lock:
            self.config = config
            self._key_at = float("-inf")

    def rest(self) -> None:
        """There is no job now: let go of what need not be kept open."""
        self.shared.rest()
        give_back()

    def close(self) -> None:
        """End the processes that render."""
        self.shared.rest()
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None
