"""Starting a daemon that outlives its starter, and stopping it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelhub.errors import DaemonFailed, DaemonNotRunning, ModelhubError
from modelhub.services.jobs.contact import Contact
from modelhub.services.jobs.place import JobsPlace

_PATIENCE = 30.0
_LOOK_EVERY = 0.05


def program() -> list[str]:
    """The words that run this modelhub."""
    return [sys.executable, "-m", "modelhub"]


def start(place: JobsPlace, options: Sequence[str] = ()) -> dict[str, Any]:
    """Start a daemon, and wait until it answers; what it answers.

    :param options: global options of the command line, such as ``--config FILE``.
    :raises AlreadyRunning: one runs already.
    :raises DaemonFailed: it ended at once, or does not answer; with what it wrote last.
    """
    contact = Contact(place)
    place.folder.mkdir(parents=True, exist_ok=True)
    words = place.log.with_suffix(".out")
    descriptor = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [*program(), *options, "daemon", "run", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # Whoever lives longer than the daemon hears of its end, and leaves no zombie.
    threading.Thread(target=process.wait, name="daemon's end", daemon=True).start()
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            answer = contact.ask("ping")
        except (DaemonNotRunning, DaemonFailed):
            answer = {}
        if answer.get("pid") == process.pid:
            return answer
        code = process.poll()
        if code is not None:
            raise _failed(words, code)
        time.sleep(_LOOK_EVERY)
    raise DaemonFailed(f"the daemon (process {process.pid}) does not answer in time")


def stop(place: JobsPlace, patience: float = _PATIENCE) -> bool:
    """Stop the daemon, and wait until it has ended; False where there was none.

    :raises DaemonFailed: it does not end in time.
    """
    contact = Contact(place)
    if not contact.attended():
        return False
    contact.ask("stop")
    deadline = time.monotonic() + patience
    while contact.attended():
        if time.monotonic() > deadline:
            raise DaemonFailed("the daemon does not end in time")
        time.sleep(_LOOK_EVERY)
    return True


def _failed(words: Path, code: int) -> ModelhubError:
    said = words.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    first = next((line for line in said if "error:" in line), said[-1] if said else "")
    reason = first.partition("error:")[2].strip() or first or f"it ended with the code {code}"
    hint = next((line.partition("hint:")[2].strip() for line in said if "hint:" in line), None)
    return DaemonFailed(f"the daemon did not start: {reason}", hint=hint)
