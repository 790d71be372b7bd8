"""The way back of what was organized, read from the history."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import decode_path
from modelhub.errors import NotFoundError
from modelhub.services.organize.applying import ORGANIZED, UNORGANIZED
from modelhub.services.organize.model import Movement, Plan, Skipped

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.catalog.showing import EventRow

LAST = "last"
_PAGE = 1000


def plan_undo(which: str, *, catalog: Catalog) -> Plan:
    """The moves that take back a run, or one move, in the reverse of their order.

    A model that is no longer as it was put there, or whose old place is taken, stays.

    :param which: ``last``, the name of a run, or the number of an event.
    :raises NotFoundError: there is no such run or event, or it was taken back already.
    """
    movements: list[Movement] = []
    skipped: list[Skipped] = []
    for event in _chosen(which, catalog):
        found = _way_back(event, {root.folder for root in catalog.roots()})
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            movements.append(found)
    return Plan(movements=movements, skipped=skipped)


def _chosen(which: str, catalog: Catalog) -> list[EventRow]:
    """The events to take back, the latest first."""
    undone: set[int] = set()
    found: list[EventRow] = []
    run: str | None = None
    for event in _history(catalog):
        if event.kind == UNORGANIZED:
            undone.add(event.detail.get("undoes") or 0)
            continue
        if event.id in undone:
            continue
        if run is None and which == LAST:
            run = event.detail.get("run")
        if which.isdecimal() and event.id == int(which):
            return [event]
        if event.detail.get("run") == (run or which):
            found.append(event)
        elif found and which == LAST:
            break
    if not found:
        raise NotFoundError(
            "nothing was organized that could be undone" if which == LAST
            else f"no move or run {which} that could be undone",
            hint="`modelhub organize --history` lists what was moved",
        )  # fmt: skip
    return found


def _history(catalog: Catalog) -> Iterator[EventRow]:
    before: int | None = None
    while page := catalog.events(limit=_PAGE, before=before, kinds=(ORGANIZED, UNORGANIZED)):
        yield from page
        before = page[-1].id


def history(catalog: Catalog, limit: int) -> list[EventRow]:
    """The latest moves, and those that were taken back."""
    return catalog.events(limit=limit, kinds=(ORGANIZED, UNORGANIZED))


def _way_back(event: EventRow, roots: Collection[Path]) -> Movement | Skipped:
    try:
        made = Movement.of(event.detail)
        marks = {decode_path(path): mark for path, mark in event.detail["marks"].items()}
    except (KeyError, TypeError):
        return Skipped(Path(), f"event {event.id} does not tell what was moved")
    if made.from_root not in roots:
        return Skipped(made.target, f"{made.from_root} is no root any more")
    return _changed(made, marks) or _reversed(event, made, marks)


def _changed(made: Movement, marks: Mapping[Path, Sequence[int]]) -> Skipped | None:
    """Why a move cannot be taken back, or None."""
    for path, (size, mtime_ns) in marks.items():
        try:
            now = path.lstat()
        except OSError as error:
            return Skipped(made.target, f"{path.name} is not there any more: {error.strerror}")
        if (now.st_size, now.st_mtime_ns) != (size, mtime_ns):
            return Skipped(made.target, f"{path.name} changed since it was moved")
    for step in made.steps:
        if os.path.lexists(step.source):
            return Skipped(made.target, f"its old place {step.source} is taken")
        if not os.path.lexists(step.target):
            return Skipped(made.target, f"{step.target.name} is not there any more")
    return None


def _reversed(event: EventRow, made: Movement, marks: Mapping[Path, Sequence[int]]) -> Movement:
    steps = []
    for step in made.steps:
        size, mtime_ns = marks.get(step.target, (0, 0))
        steps.append(step.reversed(size=size, mtime_ns=mtime_ns))
    return Movement(
        name=made.name,
        source=made.target,
        target=made.source,
        size=made.size,
        why=f"undoes event {event.id}",
        from_root=made.root,
        root=made.from_root,
        steps=tuple(steps),
        files=tuple(one.reversed() for one in made.files),
        version_id=made.version_id,
        undoes=event.id,
    )
