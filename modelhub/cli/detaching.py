"""`--detach`: what a command would do becomes a job for the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App
from modelhub.cli.output import print_json
from modelhub.cli.params import options_of

if TYPE_CHECKING:
    from modelhub.services.jobs import Job, JobKind, JobRequest
    from modelhub.services.jobs.durable import DurableQueue

Function = Callable[..., Any]

detach_options: Callable[[Function], Function] = options_of(
    click.option("--detach", is_flag=True, help="Queue it for the daemon, and do not wait."),
    click.option(
        "--priority",
        type=click.IntRange(-1000, 1000),
        metavar="N",
        help="With --detach: lower goes first; 0 is usual.",
    ),
    click.option(
        "--after", multiple=True, metavar="JOB", help="With --detach: once that job is done."
    ),
)
"""Decorator: `--detach`, `--priority` and `--after`."""


@contextmanager
def opened_queue(app: App) -> Iterator[DurableQueue]:
    """The queue of the library that the settings name."""
    from modelhub.services.jobs.durable import open_queue

    with open_queue(app.config) as queue:
        yield queue


def is_detached(given: dict[str, Any], *excluded: str) -> bool:
    """Whether a job is asked for; options that go with it alone, or not with it, are refused.

    :param excluded: names of options that do not go with `--detach`.
    :raises click.UsageError: two options do not go together.
    """
    if not given["detach"]:
        for name in ("priority", "after"):
            if given[name] not in (None, ()):
                raise click.UsageError(f"--{name} goes with --detach")
        return False
    for name in excluded:
        if given[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --detach")
    return True


def job_request(
    kind: JobKind, title: str, arguments: dict[str, Any], given: dict[str, Any]
) -> JobRequest:
    """The job, with its priority and what it comes after, as given on the command line."""
    from modelhub.services.jobs import JobRequest

    return JobRequest(
        kind=kind,
        arguments=arguments,
        title=title,
        priority=given["priority"] or 0,
        after=given["after"],
    )


def queue_jobs(app: App, requests: Sequence[JobRequest], *, as_json: bool) -> None:
    """Queue jobs, print them, and say whether anybody will do them."""
    with opened_queue(app) as queue:
        jobs: Sequence[Job] = queue.enqueue_all(requests)
        attended = queue.contact.attended()
    if as_json:
        print_json(jobs)
    else:
        for job in jobs:
            app.echo(f"{job.id} {job.title}")
    if attended:
        app.say("`modelhub jobs` shows how it goes")
    else:
        app.say("queued, but no daemon runs: `modelhub daemon start` lets it begin")


def absolute(path: Path | None) -> Path | None:
    """A path that means the same in another folder."""
    return None if path is None else path.expanduser().absolute()


def absolute_text(text: str) -> str:
    """What names a file as it means the same in another folder: a path that is there, or that is
    written as one, is made absolute; a name that the catalog knows, or a query, stays."""
    path = Path(text).expanduser()
    written_as_path = os.sep in text and ":" not in text
    return str(path.absolute()) if written_as_path or path.exists() else text
