"""Telling of jobs that have ended: a notification on the desktop, a command of the user's.

Both are off by default. The command gets everything as variables of its environment, is started
without a shell, and neither it nor what it does can hold up or fail a job.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import Job, JobState

if TYPE_CHECKING:
    from modelhub.config import Config

_log = logging.getLogger(__name__)
_PATIENCE = 60.0
_MOST_WAITING = 1000
_TOLD = {"never": (), "failed": (JobState.FAILED,), "ended": (JobState.DONE, JobState.FAILED)}
_APPLE = (
    "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run",
)


class Teller:
    """The thread that tells.

    :param config: gives the settings in effect.
    :param get: gives a job by its id.
    """

    def __init__(self, config: Callable[[], Config], get: Callable[[str], Job]) -> None:
        self._config, self._get = config, get
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tell what waits to be told, and end."""
        if self._thread.ident is not None:
            self._waiting.put(None)
            self._thread.join(_PATIENCE)

    def ended(self, job_id: str) -> None:
        """A job may have ended; returns at once."""
        wanted = self._config().daemon
        if wanted.on_end or wanted.notify != "never":
            try:
                self._waiting.put_nowait(job_id)
            except queue.Full:
                _log.warning("too many jobs end to tell of each", extra={"job": job_id})

    def _run(self) -> None:
        while (job_id := self._waiting.get()) is not None:
            try:
                self._tell(self._get(job_id))
            except (ModelhubError, OSError, subprocess.SubprocessError) as error:
                _log.warning("not told", extra={"job": job_id, "why": str(error)})

    def _tell(self, job: Job) -> None:
        wanted = self._config().daemon
        if job.state not in (JobState.DONE, JobState.FAILED):
            return
        if wanted.on_end:
            _run(wanted.on_end, {**os.environ, **variables(job)})
        if job.state in _TOLD[wanted.notify]:
            words = notification(job)
            if words:
                _run(words, dict(os.environ))


def variables(job: Job) -> dict[str, str]:
    """What a command is told of a job, as variables of its environment."""
    path = (job.result or {}).get("path")
    values = {
        "ID": job.id,
        "KIND": str(job.kind),
        "STATE": str(job.state),
        "TITLE": job.title,
        "ERROR": job.error,
        "HINT": job.hint,
        "PATH": path if isinstance(path, str) else "",
    }
    # A variable ends at its first null byte; no title has one that is meant.
    return {f"MODELHUB_JOB_{name}": text.replace("\0", "") for name, text in values.items()}


def notification(job: Job) -> list[str]:
    """The command that shows a notification here; empty where there is none."""
    title = f"modelhub: {job.kind} {job.state}"
    text = f"{job.title}: {job.error}" if job.error else job.title
    text = text.replace("\0", "")
    if sys.platform == "darwin":
        return ["osascript", "-e", *_APPLE, title, text]
    if shutil.which("notify-send") is None:
        return []
    return ["notify-send", "--app-name=modelhub", "--", title, text]


def _run(words: list[str], environ: dict[str, str]) -> None:
    """Run a command to its end, and note how it ended where that is not well.

    :raises OSError: it cannot be started.
    :raises subprocess.TimeoutExpired: it took too long, and was ended.
    """
    ended = subprocess.run(  # noqa: S603 (the user's own command, without a shell)
        words,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE,
        check=False,
    )
    if ended.returncode:
        _log.warning("a command failed", extra={"command": words[0], "code": ended.returncode})
