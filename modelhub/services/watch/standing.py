"""How each watched root stands: by what it is watched, why, and what was last seen to change.

The process that watches keeps it, and the daemon answers with it; :func:`asked` is for the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import DaemonFailed, DaemonNotRunning, UsageError
from modelhub.services.watch.report import Lost, Remark, Told, Watching

if TYPE_CHECKING:
    from modelhub.services.jobs.contact import Contact


@dataclass(frozen=True, slots=True)
class RootWatch:
    """How one root is watched; plain values, fit for JSON.

    :param root: its folder.
    :param native: by the system's notifications; else it is compared every so many seconds.
    :param why: why this way, for people.
    :param there: whether its folder can be reached.
    :param changed_at: when something in it was last seen to change, in seconds since 1970.
    :param change: what that was: the file's path in the root, and what happened to it.
    """

    root: str
    native: bool
    why: str
    there: bool = True
    changed_at: float | None = None
    change: str = ""


class Standing:
    """Follows what a watch tells. Any thread may use it.

    :param clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._roots: dict[Path, RootWatch] = {}
        self._before: dict[Path, RootWatch] = {}

    def begin(self) -> None:
        """A watch begins anew, perhaps with other roots; what was seen in them is kept."""
        with self._lock:
            self._before = {**self._before, **self._roots}
            self._roots = {}

    def note(self, told: Told) -> None:
        """Take in what the watch tells."""
        with self._lock:
            if isinstance(told, Watching):
                self._change(told.root, native=told.native, why=told.reason, there=True)
            elif isinstance(told, Lost):
                self._change(told.root, there=False, why="its folder is gone")
            elif not isinstance(told, Remark):
                self._note_change(told.path, str(told.what))

    def _change(self, root: Path, **values: Any) -> None:
        known = self._roots.get(root) or self._before.get(root) or RootWatch(str(root), True, "")
        self._roots[root] = replace(known, **values)

    def _note_change(self, path: Path, what: str) -> None:
        around = [root for root in self._roots if path.is_relative_to(root)]
        if around:
            root = max(around, key=lambda one: len(one.parts))
            change = f"{path.relative_to(root)} {what}"
            self._change(root, changed_at=self._clock(), change=change)

    def plain(self) -> list[dict[str, Any]]:
        """All of it, as plain values."""
        with self._lock:
            return [asdict(one) for one in self._roots.values()]


def asked(contact: Contact) -> Sequence[RootWatch] | None:
    """How the daemon watches; None where none runs, or it does not answer."""
    from modelhub.services.jobs.plain import from_plain

    try:
        answer = contact.ask("status").get("watch", [])
        return from_plain(answer, list[RootWatch], "the daemon's answer")
    except (DaemonNotRunning, DaemonFailed, UsageError):
        return None
