"""`modelhub verify`: read files again and compare them with what they were."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.text import human_duration, human_size, plural

if TYPE_CHECKING:
    from modelhub.services.verify import Checked, VerifyReport

_MOST_DAYS = 36_500


def _percentage(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> float | None:
    """`5%` or `5` as 0.05."""
    if value is None:
        return None
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = 0.0
    if not 0 < number <= 100:
        raise click.BadParameter(f"expected a share such as 5%, up to 100%, not {value!r}")
    return number / 100


@click.command()
@click.argument("query", nargs=-1)
@click.option(
    "--share",
    metavar="PERCENT",
    callback=_percentage,
    help="Read about so much of the bytes, those that were read longest ago.",
)
@click.option(
    "--due",
    is_flag=True,
    help="Read what this week's share has left: `verify.share`, or --share.",
)
@click.option(
    "--older-than",
    type=click.FloatRange(min=0, max=_MOST_DAYS),
    default=0.0,
    metavar="DAYS",
    help="Leave out what was verified within so many days.",
)
@json_option
@pass_app
def command(
    app: App,
    query: tuple[str, ...],
    share: float | None,
    due: bool,
    older_than: float,
    as_json: bool,
) -> None:
    """Read files again and compare them with what they were when they were hashed.

    QUERY, in the search language, narrows down which files. What was read longest ago comes first,
    and each file's result is kept at once: a stopped run loses nothing.

    Files are read from the disk, not from the system's cache. A damaged file is left as it is, gets
    a fault (`modelhub list fault:yes`) and is in the history; where its content is as well is told.

    Exit code 5: something is damaged; 7: something could not be read; 3: something is missing.

    \b
    Examples:
      modelhub verify
      modelhub verify type:checkpoint size>2GB
      modelhub verify --share 10%
      modelhub verify --due          (from a timer, as often as you like)
    """
    from modelhub.services.verify import verify

    if due and share is None:
        share = app.config.verify.share / 100
    with opened_catalog(app) as catalog, app.progress() as listener:
        report = verify(
            catalog,
            query=" ".join(query),
            share=share,
            due=due,
            older_than=timedelta(days=older_than),
            listener=listener,
            cancel=app.cancel,
        )
    if as_json:
        print_json(_document(report))
    else:
        _print(app, report)
    click.get_current_context().exit(_exit_code(report))


def _document(report: VerifyReport) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(report, enc_hook=str)
    document["damaged"] = report.damaged
    return document


def _print(app: App, report: VerifyReport) -> None:
    columns: list[Column[Checked]] = [
        Column("Result", lambda one: one.verdict),
        Column("File", lambda one: one.path, flexible=True, middle=True),
        Column("Size", lambda one: one.size, human_size, right=True),
        Column("What", lambda one: one.detail, flexible=True),
    ]
    print_table(columns, report.findings)
    app.echo(_summary(report))
    for one in report.findings:
        advice = _advice(one)
        if advice:
            app.say(f"{one.path.name}: {advice}")


def _summary(report: VerifyReport) -> str:
    if not report.planned:
        return "nothing to verify" + (": all of it was, lately" if report.library_bytes else "")
    text = f"{report.ok:,} of {plural(report.checked, 'file')} as they were"
    if report.published:
        text += f", {report.published:,} of them as published"
    return f"{text}; {human_size(report.read_bytes)} read in {human_duration(report.seconds)}"


def _advice(one: Checked) -> str:
    if one.verdict == "changed":
        return "`modelhub index` takes it in as it is now"
    if one.elsewhere:
        return f"the same content is at {one.elsewhere[0]}"
    if one.published and one.verdict != "unreadable":
        return f"Civitai publishes it: `modelhub pull {one.expected}` into another folder"
    return ""


def _exit_code(report: VerifyReport) -> int:
    verdicts = {str(one.verdict) for one in report.findings}
    if report.damaged:
        return 5
    return 7 if "unreadable" in verdicts else 3 if "missing" in verdicts else 0
