"""What the daemon asks for by itself: update checks, verifying a share, matching, forgetting.

When each was asked for last is known from the jobs themselves, so that a restart repeats nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind, JobRequest

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.daemon.engine import Engine
    from modelhub.services.jobs.store import JobRequests, JobWork

_log = logging.getLogger(__name__)
_HOUR = 3600.0
_DAY = 24 * _HOUR
_FIRST_AFTER = 60.0
"""Seconds after the start: what a user has queued goes first."""
_LOOK_EVERY = 300.0
_PRIORITY = 100
"""What nobody waits for goes after what somebody has asked for."""
_RUNS_REMEMBERED = 1000
"""By the engine, of those that have ended: it needs none, they are for whoever looks into it."""


@dataclass(frozen=True, slots=True)
class Regular:
    """A job that is asked for again and again.

    :param hours: between two; 0: never.
    """

    name: str
    kind: JobKind
    title: str
    hours: float
    arguments: dict[str, Any]

    @property
    def request(self) -> JobRequest:
        """The job."""
        return JobRequest(
            kind=self.kind,
            arguments=self.arguments,
            title=self.title,
            key=f"regular:{self.name}",
            priority=_PRIORITY,
        )


def regulars(config: Config) -> list[Regular]:
    """All jobs that are asked for again and again, by these settings."""
    wanted = config.daemon
    return [
        Regular("match", JobKind.MATCH, "ask about unknown files", wanted.match_hours, {}),
        Regular("updates", JobKind.UPDATES, "look for newer versions", wanted.updates_hours, {}),
        Regular(
            "verify", JobKind.VERIFY, "read what is due again", wanted.verify_hours, {"due": True}
        ),
    ]


class Schedule:
    """The thread that asks for regular jobs, and forgets old ones.

    :param config: gives the settings in effect.
    :param asked: called when a job was asked for.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        requests: JobRequests,
        work: JobWork,
        engine: Engine,
        asked: Callable[[], None],
    ) -> None:
        self._config, self._requests, self._work = config, requests, work
        self._engine, self._asked = engine, asked
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_AFTER
        while not self._stopped.wait(pause):
            pause = _LOOK_EVERY
            try:
                self.ask_for_due()
                self.forget_old()
            except ModelhubError as error:
                _log.error("the schedule waits", extra={"why": error.message})

    def ask_for_due(self) -> list[str]:
        """Ask for the regular jobs whose time has come; their names."""
        asked = []
        for regular in regulars(self._config()):
            if self._is_due(regular):
                self._requests.add(regular.request)
                asked.append(regular.name)
        if asked:
            _log.info("regular jobs", extra={"jobs": asked})
            self._asked()
        return asked

    def _is_due(self, regular: Regular) -> bool:
        if not regular.hours:
            return False
        last = self._requests.last_created(regular.request.key)
        # A time that is still to come was written before the clock was put back.
        passed = time.time() - last
        return passed < 0 or passed >= regular.hours * _HOUR

    def forget_old(self) -> int:
        """Forget the ended jobs that are more, or older, than are to be remembered; how many."""
        wanted = self._config().jobs
        before = time.time() - wanted.keep_days * _DAY
        number = self._work.trim(ended_before=before, keep=wanted.keep)
        self._engine.forget(keep=_RUNS_REMEMBERED)
        if number:
            _log.info("old jobs are forgotten", extra={"number": number})
        return number
