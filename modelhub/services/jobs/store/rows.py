"""A row of the table as a :class:`Job`, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from modelhub.config.mounts import all_to_host
from modelhub.progress import Stage
from modelhub.services.jobs.model import Job, JobKind, JobProgress, JobState
from modelhub.services.jobs.store.tables import jobs

# Without those that only the engine needs.
COLUMNS = (
    jobs.c.id,
    jobs.c.kind,
    jobs.c.title,
    jobs.c.state,
    jobs.c.arguments,
    jobs.c.priority,
    jobs.c.after,
    jobs.c.created,
    jobs.c.started,
    jobs.c.ended,
    jobs.c.attempts,
    jobs.c.progress,
    jobs.c.result,
    jobs.c.error,
    jobs.c.hint,
    jobs.c.log,
    jobs.c.host,
)
KINDS = frozenset(JobKind)
"""The kinds that this modelhub knows: jobs of others wait for a later one."""
_TOO_NEW = "needs a newer modelhub: this one knows no jobs of the kind “{kind}”"
_NO_PROGRESS = JobProgress()


def to_text(value: Any) -> str:
    """Plain values as JSON: :mod:`json`, since it writes any name of a file."""
    return json.dumps(value, separators=(",", ":"))


def shown(text: str) -> str:
    """`text` as every database takes it: what is no Unicode in a name is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def job_of(row: Any) -> Job:
    """The job that a row of :data:`COLUMNS` describes."""
    kind = _kind(row.kind)
    error, hint = row.error, row.hint
    if kind not in KINDS and not error and not JobState(row.state).ended:
        error, hint = _TOO_NEW.format(kind=kind), "upgrade modelhub where the daemon runs"
    return Job(
        id=row.id,
        kind=kind,
        title=row.title,
        state=JobState(row.state),
        arguments=all_to_host(json.loads(row.arguments)),
        priority=row.priority,
        after=() if row.after == "[]" else tuple(json.loads(row.after)),
        created=moment(row.created),
        started=None if row.started is None else moment(row.started),
        ended=None if row.ended is None else moment(row.ended),
        attempts=row.attempts,
        progress=_NO_PROGRESS if row.progress == "{}" else progress_of(json.loads(row.progress)),
        result=None if row.result is None else all_to_host(json.loads(row.result)),
        error=error,
        hint=hint,
        log=() if row.log == "[]" else tuple(json.loads(row.log)),
        host=row.host,
    )


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def progress_of(values: Mapping[str, Any]) -> JobProgress:
    """The progress that :func:`progress_text` wrote."""
    stage = values.get("stage")
    return JobProgress(**{**values, "stage": Stage(stage) if stage else None})


def progress_text(progress: JobProgress) -> str:
    """A progress as JSON."""
    return to_text(asdict(progress))


def reached(progress: str) -> str:
    """How far a job's stored progress is, as text that compares as that does; empty: nowhere."""
    found = progress_of(json.loads(progress))
    if found.stage is None and not found.done:
        return ""
    stage = 0 if found.stage is None else 1 + list(Stage).index(found.stage)
    return f"{stage:03d}:{max(found.done, 0):020d}"


def _kind(name: str) -> JobKind:
    """The kind; a plain string for one of a later modelhub, which is shown and never begun here."""
    try:
        return JobKind(name)
    except ValueError:
        return name  # type: ignore[return-value]
