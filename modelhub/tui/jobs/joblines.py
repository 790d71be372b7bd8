"""A job in one line, and in full: state, progress, result, error with its hint, log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from textual.content import Content

from modelhub.progress import Stage
from modelhub.services.jobs.model import Job, JobKind, JobState
from modelhub.text import cell_width, clean, human_duration, human_rate, human_size, pad, shorten
from modelhub.tui.library.columns import ago
from modelhub.tui.widgets.activity import bar
from modelhub.tui.widgets.form import in_forms_words
from modelhub.tui.widgets.rows import Piece, Row, heading

SIGNS = {
    JobState.RUNNING: ("▸", "accent"),
    JobState.WAITING: ("·", "muted"),
    JobState.PAUSED: ("‖", "warning"),
    JobState.DONE: ("✓", "good"),
    JobState.FAILED: ("✗", "error"),
    JobState.CANCELLED: ("∅", "muted"),
}
GROUPS = (
    (JobState.RUNNING, "Running"),
    (JobState.WAITING, "Waiting"),
    (JobState.PAUSED, "Paused"),
    (JobState.FAILED, "Failed"),
    (JobState.DONE, "Done"),
    (JobState.CANCELLED, "Cancelled"),
)
_PLAIN = {JobState.DONE: "done", JobState.CANCELLED: "cancelled", JobState.FAILED: "failed"}
MUTED = "$foreground 65%"
_LEAST_TITLE = 16
_BAR = 16
_WITH_BAR = 92
"""Columns from which a bar has room."""
_MOST_SHOWN = 400
"""Characters of an error or a notice that one line of the details shows."""


def listing(jobs: Iterable[Job]) -> list[Row]:
    """All jobs under headings: what runs, waits and is paused, then failures, then the rest."""
    groups: dict[JobState, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.state, []).append(job)
    rows: list[Row] = []
    for state, title in GROUPS:
        found = sorted(groups.get(state, ()), key=_place)
        if found:
            rows.append(heading(f" {title} {len(found):,}"))
            rows += [Row(job.id, partial(line, job)) for job in found]
    return rows


def _place(job: Job) -> tuple[Any, ...]:
    if job.state.ended:
        return (-(job.ended or job.created).timestamp(), job.id)
    if job.state is JobState.RUNNING:
        return ((job.started or job.created).timestamp(), job.id)
    return (job.priority, job.created.timestamp(), job.id)


def line(job: Job, width: int) -> list[Piece]:
    """Sign, kind, title, and how far it is or how it ended."""
    sign, look = SIGNS[job.state]
    tail = _tail(job, width)
    used = sum(cell_width(text) for text, _ in tail)
    room = max(_LEAST_TITLE, width - used - 13)
    title = shorten(clean(_name(job)), room, middle=True)
    return [
        (f" {sign} ", look),
        (f"{job.kind:<9}", "muted"),
        (pad(title, room) + " ", ""),
        *tail,
    ]


def _name(job: Job) -> str:
    running = job.state is JobState.RUNNING and job.progress.name
    return running or job.title or job.kind


def _tail(job: Job, width: int) -> list[Piece]:
    if job.state is JobState.RUNNING:
        return _progress(job, width)
    if job.state is JobState.FAILED:
        room = max(12, (width - 13) // 2)
        return [(pad(shorten(clean(job.error), room), room), "error")]
    if job.state is JobState.DONE:
        return [(f"{_took(job):>12}  {ago(job.ended):>7} ", "muted")]
    if job.state.ended:
        return [(f"{ago(job.ended):>21} ", "muted")]
    words = []
    if job.after:
        words.append(f"after {', '.join(one[:6] for one in job.after)}")
    if job.priority:
        words.append(f"priority {job.priority:+}")
    if job.progress.total:
        words.append(f"{job.progress.done / job.progress.total:.0%} done")
    return [("  ".join(words) + " ", "muted")]


def _progress(job: Job, width: int) -> list[Piece]:
    progress = job.progress
    stage = shorten(str(progress.stage or "begins"), 11)
    pieces: list[Piece] = [(f"{stage:<11} ", "")]
    share = min(1.0, progress.done / progress.total) if progress.total else None
    if width >= _WITH_BAR:
        pieces.append((" " * _BAR if share is None else bar(share, _BAR), "accent"))
    pieces.append(("     " if share is None else f" {share:4.0%}", ""))
    pieces.append((f"{_speed(job):>12} {_left(job):>9} ", ""))
    return pieces


def _speed(job: Job) -> str:
    progress = job.progress
    if not progress.speed:
        return ""
    if progress.stage is Stage.RENDER:
        return f"{progress.speed:.1f} steps/s" if progress.speed >= 0.1 else ""
    return human_rate(progress.speed)


def _left(job: Job) -> str:
    progress = job.progress
    if not (progress.speed and progress.total):
        return ""
    return human_duration((progress.total - progress.done) / progress.speed)


def _took(job: Job) -> str:
    if job.started is None or job.ended is None:
        return ""
    seconds = (job.ended - job.started).total_seconds()
    return "took " + (human_duration(seconds) if seconds >= 1 else "< 1 s")


# In full


def in_full(job: Job, *, here: bool | None) -> Content:
    """Everything about a job.

    :param here: whether this process does it; None: not known.
    """
    sign, _ = SIGNS[job.state]
    parts: list[Content] = [
        Content.assemble((f"{sign} {clean(job.title)}", "bold")),
        _facts(job, here),
    ]
    if job.error:
        parts.append(Content.styled(_short(job.error), "bold $error"))
    if job.hint:
        parts.append(Content.assemble(("hint  ", MUTED), _hint(job)))
    if job.state is JobState.RUNNING and job.progress.text:
        parts.append(Content(_short(job.progress.text)))
    made = list(_made(job))
    if made:
        parts += [Content(""), Content.styled("Result", "bold $primary")]
        parts += [Content(clean(text)) for text in made]
    if job.log:
        parts += [Content(""), Content.styled("Log", "bold $primary")]
        parts += [Content(_short(text)) for text in job.log]
    return Content("\n").join(parts)


def _hint(job: Job) -> str:
    has_form = job.kind in (JobKind.CONVERT, JobKind.RENDER)
    return _short(in_forms_words(job.hint) if has_form else job.hint)


def _short(text: str) -> str:
    return shorten(clean(text), _MOST_SHOWN)


def _facts(job: Job, here: bool | None) -> Content:
    facts = [job.state.value, str(job.kind)]
    if job.state is JobState.RUNNING and job.started is not None:
        facts.append(f"for {human_duration((datetime.now(UTC) - job.started).total_seconds())}")
    if job.progress.total and job.progress.stage is not Stage.RENDER and not job.state.ended:
        facts.append(f"{human_size(job.progress.done)} of {human_size(job.progress.total)}")
    elif job.progress.total and not job.state.ended:
        facts.append(f"step {job.progress.done} of {job.progress.total}")
    if job.state is JobState.DONE:
        facts.append(_took(job))
    if job.ended is not None:
        facts.append(f"{ago(job.ended)} ago")
    if job.attempts > 1:
        facts.append(f"begun {job.attempts} times")
    if job.priority:
        facts.append(f"priority {job.priority:+}")
    if here is not None:
        facts.append("in this program" if here else f"by the daemon{_on(job)}")
    facts.append(f"job {job.id}")
    return Content.styled("  ".join(clean(fact) for fact in facts if fact), MUTED)


def _on(job: Job) -> str:
    return f" on {job.host}" if job.host else ""


def _made(job: Job) -> Iterator[str]:
    """Where what it made is."""
    result = job.result
    if not isinstance(result, Mapping):
        return
    if job.kind is JobKind.DOWNLOAD:
        yield from _paths([result])
        return
    for name in ("files", "images", "grids"):
        found = result.get(name)
        if isinstance(found, Sequence) and not isinstance(found, str):
            yield from _paths(found)


def _paths(found: Iterable[Any]) -> Iterator[str]:
    for one in found:
        if isinstance(one, Mapping) and isinstance(one.get("path"), str):
            yield one["path"]


def in_brief(job: Job) -> Content:
    """How far a job is, or how it ended: for the screen that asked for it."""
    sign, _ = SIGNS[job.state]
    if job.state is JobState.DONE:
        made = [clean(Path(text).name) for text in _made(job)] or ["done"]
        return Content.styled("\n".join(f"{sign} {text}" for text in made[-3:]), "bold $success")
    if job.state is JobState.FAILED:
        hint = Content(f"\n{_hint(job)}" if job.hint else "")
        return Content.assemble((f"{sign} {_short(job.error)}", "bold $error"), hint)
    progress = job.progress
    words = [job.state.value]
    if job.state is JobState.RUNNING:
        words = [str(progress.stage or "begins")]
        if progress.total:
            share = min(1.0, progress.done / progress.total)
            words += [bar(share, _BAR), f"{share:.0%}", _speed(job), _left(job)]
    return Content(f"{sign} " + "  ".join(word for word in words if word))
