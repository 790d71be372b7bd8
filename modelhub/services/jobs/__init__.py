"""Jobs: work that takes time, asked for now and done by whoever is there to do it."""

from __future__ import annotations

from modelhub.services.jobs.model import (
    Job,
    JobKind,
    JobListener,
    JobProgress,
    JobQueue,
    JobRequest,
    JobState,
)

__all__ = ["Job", "JobKind", "JobListener", "JobProgress", "JobQueue", "JobRequest", "JobState"]
