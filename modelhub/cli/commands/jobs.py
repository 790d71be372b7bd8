"""`modelhub jobs`: what waits, runs and has ended in the background."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.detaching import opened_queue
from modelhub.cli.output import Column, json_option, print_fields, print_json, print_table
from modelhub.text import human_rate, human_size, plural

if TYPE_CHECKING:
    from modelhub.services.jobs import Job, JobProgress

_STATES = ("waiting", "running", "paused", "done", "failed", "cancelled")
_KINDS = ("download", "index", "hash", "match", "verify", "convert", "render", "updates")
_COUNTED = ("render",)
"""Kinds whose progress is in steps; that of the others is in bytes."""


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """See and steer what is done in the background.

    Jobs are queued by `modelhub pull --detach` and others, and done by the daemon (`modelhub
    daemon start`). ID is that of the list, or enough of its beginning.

    \b
    Examples:
      modelhub jobs
      modelhub jobs list --state failed
      modelhub jobs cancel 3f2
    """
    if context.invoked_subcommand is None:
        context.invoke(list_, as_json=as_json)


@command.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; repeatable."
)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these; repeatable."
)
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@json_option
@pass_app
def list_(
    app: App,
    states: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    limit: int = 1000,
    as_json: bool = False,
) -> None:
    """List jobs: running ones first, then waiting ones in their order, then ended ones."""
    from modelhub.services.jobs import JobKind, JobState

    with opened_queue(app) as queue:
        found = queue.list(
            [JobState(one) for one in states], [JobKind(one) for one in kinds], limit
        )
        idle = any(not job.state.ended for job in found) and not queue.contact.attended()
    if as_json:
        print_json(found)
        return
    print_table(_columns(), found)
    if not found:
        app.say("no jobs")
    if idle:
        app.say("no daemon runs: `modelhub daemon start` lets these jobs begin")


def _columns() -> list[Column[Job]]:
    return [
        Column("Id", lambda job: job.id),
        Column("Kind", lambda job: job.kind),
        Column("State", lambda job: job.state),
        Column("Job", lambda job: job.title, flexible=True, middle=True),
        Column("Progress", _progress),
        Column("What", _what, flexible=True),
    ]


def _progress(job: Job) -> str:
    progress = job.progress
    if job.state.ended or not progress.stage:
        return ""
    parts = [str(progress.stage)]
    if progress.total:
        parts.append(f"{100 * progress.done / progress.total:.0f}%")
    if progress.speed and job.state == "running":
        parts.append(_speed(job, progress))
    return " ".join(parts)


def _speed(job: Job, progress: JobProgress) -> str:
    if job.kind in _COUNTED:
        return f"{progress.speed:.1f}/s"
    return human_rate(progress.speed)


def _what(job: Job) -> str:
    if job.error:
        return job.error
    if job.result is not None and isinstance(job.result.get("path"), str):
        return str(job.result["path"])
    return "" if job.state.ended else job.progress.text


@command.command()
@click.argument("job_id", metavar="ID")
@json_option
@pass_app
def show(app: App, job_id: str, as_json: bool) -> None:
    """Show one job with its log."""
    with opened_queue(app) as queue:
        job = queue.get(job_id)
    if as_json:
        print_json(job)
        return
    print_fields(
        [
            ("Id", job.id),
            ("Job", job.title),
            ("Kind", job.kind),
            ("State", job.state),
            ("Priority", job.priority or ""),
            ("After", ", ".join(job.after)),
            ("Created", _time(job.created)),
            ("Started", _time(job.started)),
            ("Ended", _time(job.ended)),
            ("Attempts", job.attempts or ""),
            ("Host", job.host),
            ("Progress", _amount(job)),
            ("Error", job.error),
            ("Hint", job.hint),
            *_results(job),
        ]
    )
    for line in job.log:
        app.echo(f"  {line}")


def _amount(job: Job) -> str:
    progress = job.progress
    if job.state.ended or progress.total is None:
        return _progress(job)
    if job.kind in _COUNTED:
        return f"{progress.done} of {progress.total} steps"
    return f"{human_size(progress.done)} of {human_size(progress.total)}"


def _results(job: Job) -> list[tuple[str, object]]:
    """What of the result is a plain value."""
    return [
        (name.replace("_", " ").capitalize(), value)
        for name, value in (job.result or {}).items()
        if isinstance(value, str | int | float) and value not in ("", 0, False)
    ]


def _time(when: datetime | None) -> str:
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def _steering(name: str, summary: str, done: str) -> None:
    """Add a subcommand that does the same with each of the jobs that are named."""

    @command.command(name, help=summary)
    @click.argument("job_ids", nargs=-1, required=True, metavar="ID...")
    @json_option
    @pass_app
    def steer(app: App, job_ids: tuple[str, ...], as_json: bool) -> None:
        with opened_queue(app) as queue:
            act: Callable[[str], Job] = getattr(queue, name)
            found = [act(job_id) for job_id in job_ids]
        if as_json:
            print_json(found)
            return
        for job in found:
            app.echo(f"{job.id} {job.title}: {done}")


_steering("cancel", "Stop jobs, or never start them.", "cancelled")
_steering("pause", "Stop jobs for now.", "paused")
_steering("resume", "Let paused jobs go on.", "goes on")
_steering("retry", "Do failed or cancelled jobs again.", "waits to be done again")


@command.command()
@click.argument("job_id", metavar="ID")
@click.argument("priority", type=click.IntRange(-1000, 1000))
@pass_app
def priority(app: App, job_id: str, priority: int) -> None:
    """Change the priority of a job that waits: lower goes first, 0 is usual."""
    with opened_queue(app) as queue:
        job = queue.prioritise(job_id, priority)
    app.echo(f"{job.id} {job.title}: priority {job.priority}")


@command.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(("done", "failed", "cancelled")),
    help="Only these; repeatable.",
)
@pass_app
def clear(app: App, states: tuple[str, ...]) -> None:
    """Forget jobs that have ended; files stay."""
    from modelhub.services.jobs import JobState

    with opened_queue(app) as queue:
        number = queue.clear([JobState(one) for one in states])
    app.say(f"{plural(number, 'job')} forgotten")
