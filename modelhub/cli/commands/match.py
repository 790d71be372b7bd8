"""`modelhub match`: ask Civitai, by hash, about what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import civitai_client, opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.services.match import MatchReport, SidecarReport
    from modelhub.services.match.recording import Described

_MOST_LINES = 50


@click.command()
@click.argument("query", nargs=-1)
@click.option(
    "--again", is_flag=True, help="Also ask about what is known, and what was unknown lately."
)
@json_option
@pass_app
def command(app: App, query: tuple[str, ...], again: bool, as_json: bool) -> None:
    """Ask Civitai, by hash, about what is unknown.

    QUERY, in the search language, narrows down which files. Only hashes are sent, ten thousand at
    once. What Civitai does not know is remembered, and asked about again after `match.retry_after`
    days. Sidecars of other tools beside the files are read first: what you wrote in them is kept,
    and what they say of a model is believed where its hash proves it.

    \b
    Examples:
      modelhub match
      modelhub match type:lora
      modelhub match --again
    """
    from modelhub.services.match import match

    with opened_catalog(app) as catalog, civitai_client(app) as client, app.progress() as listener:
        report = match(
            catalog=catalog,
            client=client,
            config=app.config,
            query=" ".join(query),
            again=again,
            listener=listener,
            cancel=app.cancel,
        )
    if as_json:
        print_json(document(report))
    else:
        _print_described([one for one in report.described if one.is_new])
    _say(app, report)
    if report.stopped is not None:
        from modelhub.cli.messages import show_error

        show_error(app, report.stopped)
        click.get_current_context().exit(report.stopped.exit_code)


def document(report: MatchReport) -> dict[str, Any]:
    """The JSON form of a report."""
    from dataclasses import fields

    values = {one.name: getattr(report, one.name) for one in fields(report)}
    stopped = report.stopped
    values["stopped"] = stopped and {"class": type(stopped).__name__, "message": stopped.message}
    return values


def _print_described(described: list[Described]) -> None:
    columns: list[Column[Described]] = [
        Column("File", lambda one: _name(one), flexible=True, middle=True),
        Column("Type", lambda one: one.model_type),
        Column("Model", lambda one: one.model_name, flexible=True),
        Column("Version", lambda one: one.version_name, flexible=True),
        Column("By", lambda one: "" if one.matched_by == "SHA256" else "its tensors"),
    ]
    filled = [column for column in columns if any(column.cell(one) for one in described)]
    print_table(filled, described[:_MOST_LINES])


def _name(described: Described) -> str:
    names = [path.rpartition("/")[2] for path in described.paths]
    return names[0] if names else described.sha256[:10]


def _say(app: App, report: MatchReport) -> None:
    say_sidecars(app, report.sidecars)
    if report.new > _MOST_LINES:
        app.say(f"and {report.new - _MOST_LINES:,} more; `modelhub list` shows them")
    if report.asked:
        words = f"asked about {plural(report.asked, 'file')}: {report.found:,} found"
        words += f" ({report.new:,} newly known), {report.not_found:,} not found"
        app.say(words)
    elif report.stopped is None:
        app.say("nothing to ask: every hashed file is known, or was asked about lately")
    if report.left:
        app.say(f"{plural(report.left, 'file')} will be asked about by tensors in the next run")
    if report.unhashed:
        count = plural(report.unhashed, "file")
        app.say(f"{count} cannot be asked about: not hashed yet; `modelhub index` does that")


def say_sidecars(app: App, report: SidecarReport) -> None:
    """What the sidecars gave, and warnings about those that were left alone."""
    for notice in report.notices[:_MOST_LINES]:
        app.warn(notice)
    if len(report.notices) > _MOST_LINES:
        app.warn(f"and {len(report.notices) - _MOST_LINES:,} more sidecars like these")
    if report.words or report.described:
        app.say(
            f"sidecars: your words on {plural(report.words, 'file')} imported, "
            f"{plural(report.described, 'file')} described"
        )
