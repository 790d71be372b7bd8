"""A jobs database of its own for each test, seen by a user and by a daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.config.settings import CatalogSettings
from modelhub.services.jobs import Job, JobKind, JobRequest
from modelhub.services.jobs.store import JobDatabase, JobRequests, JobWork, Suspects, open_jobs


@dataclass
class Jobs:
    """Both sides of a jobs database."""

    database: JobDatabase
    user: JobRequests
    daemon: JobWork
    suspects: Suspects

    def ask(self, name: str, **more: object) -> Job:
        """A download of `name`."""
        values = {"kind": JobKind.DOWNLOAD, "arguments": {"reference": name}, "title": name}
        job, _ = self.user.add(JobRequest(**{**values, **more}))  # type: ignore[arg-type]
        return job

    def begin(self, job: Job) -> int:
        """Hand a job over and begin it; the generation of its run."""
        turn = next(one for one in self.daemon.turns(job.kind, 100) if one.id == job.id)
        self.daemon.handed([turn])
        assert self.daemon.begin(turn.id, turn.generation) is not None
        return turn.generation


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"))


@pytest.fixture
def jobs(config: Config) -> Iterator[Jobs]:
    with open_jobs(config) as database:
        yield Jobs(database, JobRequests(database), JobWork(database, "here"), Suspects(database))


@pytest.fixture
def other_host(jobs: Jobs) -> JobWork:
    """The daemon of another machine."""
    return JobWork(jobs.database, "there")


Titles = Callable[[], list[str]]


@pytest.fixture
def titles(jobs: Jobs) -> Titles:
    """The titles of all jobs, as they are listed."""
    return lambda: [job.title for job in jobs.user.list()]
