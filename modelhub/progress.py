"""Progress events: what the command line, the TUI and the daemon all show.

A service takes a :data:`Listener` and calls it with events, from any thread. Events are plain
immutable values, so that a listener may queue them, draw them or send them to another process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Stage(StrEnum):
    """The named stages of a pull, then those of the library's upkeep, in the order of the work."""

    RESOLVE = "resolve"
    WAIT = "wait"
    CHECK_SPACE = "check space"
    DOWNLOAD = "download"
    VERIFY = "verify"
    PLACE = "place"
    RECORD = "record"
    WALK = "walk"
    READ = "headers"
    HASH = "hash"
    MATCH = "match"
    COMPARE = "compare"
    LINK = "link"
    SCAN = "scan"
    CONVERT = "convert"
    LOAD = "load"
    RENDER = "render"


class Outcome(StrEnum):
    """How a task ended."""

    DONE = "done"
    PLANNED = "planned"
    PRESENT = "present"
    LINKED = "linked"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A new line of work, `task` being unique within one call of a service."""

    task: str
    name: str


@dataclass(frozen=True, slots=True)
class TaskRenamed:
    """The task got a better name: a reference became a file name."""

    task: str
    name: str


@dataclass(frozen=True, slots=True)
class StageEntered:
    """The task entered `stage`, of `total` bytes where that is known."""

    task: str
    stage: Stage
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """`done` bytes of `total` of the current stage are through (absolute, never a difference).

    `resumed` bytes of them were there before this run, and do not count for the speed.
    """

    task: str
    done: int
    total: int | None = None
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Stepped:
    """`done` of `total` steps of a picture are through.

    :param preview: a small PNG of what is there so far, or empty.
    """

    task: str
    done: int
    total: int
    preview: bytes = b""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, and that does not end the task."""

    task: str
    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """The task ended; `detail` is one line: where the file is, or what went wrong."""

    task: str
    outcome: Outcome
    detail: str = ""


Event: TypeAlias = (
    TaskStarted | TaskRenamed | StageEntered | Advanced | Stepped | Notice | TaskFinished
)
Listener: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener of callers that want no progress."""
