"""`modelhub scan`: whether files may run code when they are loaded; and the quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.library import opened_catalog
from modelhub.cli.output import json_option, print_fields, print_json
from modelhub.cli.scan_lines import scan_lines
from modelhub.errors import Cancelled, UnsafeFileError, UsageError
from modelhub.text import clean, plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.formats.scan import ScanReport
    from modelhub.formats.scan.second import Opinion
    from modelhub.services.scan import FailedScan, Scanned

_COLORS = {"safe": "green", "suspicious": "yellow", "dangerous": "red"}


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|FOLDER]...")
@click.option("--query", metavar="QUERY", help="All files of the library that a query finds.")
@click.option(
    "--second-opinion", is_flag=True, help="Ask picklescan as well, and show where it differs."
)
@click.option("--quarantine", is_flag=True, help="Move the files into quarantine; scan nothing.")
@click.option("--release", is_flag=True, help="Move the files out of quarantine, to their places.")
@json_option
@pass_app
def command(
    app: App,
    files: tuple[str, ...],
    query: str | None,
    second_opinion: bool,
    quarantine: bool,
    release: bool,
    as_json: bool,
) -> None:
    """Say whether files may run code when they are loaded, without running any of it.

    FILE is a path, or the name, hash or id of a file in the library; of a FOLDER all files below
    are looked at, whatever they are called. Each gets a verdict: safe, suspicious (it names what
    nobody has judged yet, or is damaged), or dangerous. Files of the library keep theirs.

    Exit code 6: a file is suspicious or dangerous; 3: a file is not there; 7: one cannot be read.

    \b
    Examples:
      modelhub scan model.ckpt ~/Downloads
      modelhub scan --query 'format:ckpt verdict:none'
      modelhub scan --release ~/models/.modelhub/quarantine/evil.ckpt.quarantined
    """
    if not files and query is None:
        raise UsageError("nothing to scan", hint="name files or folders, or give a --query")
    if quarantine and release:
        raise UsageError("--quarantine and --release exclude each other", hint="")
    with opened_catalog(app) as catalog:
        if quarantine or release:
            _move(app, catalog, files, query, release=release, as_json=as_json)
            return
        code = _scan(app, catalog, files, query, second_opinion, as_json=as_json)
    if code:
        click.get_current_context().exit(code)


def _move(
    app: App,
    catalog: Catalog,
    files: Sequence[str],
    query: str | None,
    *,
    release: bool,
    as_json: bool,
) -> None:
    """Into quarantine, or out of it; each file's new place is printed.

    :raises ModelhubError: a file cannot be moved; those before it have been.
    """
    from modelhub.services.scan import quarantine_file, release_file, targets_of

    move = release_file if release else quarantine_file
    moved: list[dict[str, str]] = []
    try:
        for path in targets_of(catalog, files, query):
            there = move(catalog, path)
            moved.append({"from": str(path), "to": str(there)})
            if not as_json:
                app.echo(str(there))
    finally:
        if as_json:
            print_json(moved)


def _scan(
    app: App,
    catalog: Catalog,
    files: Sequence[str],
    query: str | None,
    second_opinion: bool,
    *,
    as_json: bool,
) -> int:
    """Scan, and print as it goes; the exit code."""
    from modelhub.services.scan import FailedScan, Scanned, scan_files, targets_of

    done: list[Scanned | FailedScan] = []
    stopped: Cancelled | None = None
    targets = targets_of(catalog, files, query)
    with app.progress() as listener:
        scans = scan_files(
            targets,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
            second_opinions=second_opinion,
        )
        try:
            for one in scans:
                done.append(one)  # noqa: PERF402 (what is done stays where an error comes)
        except Cancelled as error:
            stopped = error
    scanned = [one for one in done if isinstance(one, Scanned)]
    failed = [one for one in done if isinstance(one, FailedScan)]
    if as_json:
        print_json([document(one) for one in scanned])
    else:
        _print(app, scanned, named=set(targets))
    _show_failures(app, failed)
    if stopped is not None:
        raise stopped
    # A script must not take "unsafe" for "unreadable": the worse news goes first.
    if not all(one.is_safe for one in scanned):
        return UnsafeFileError.exit_code
    return max((one.error.exit_code for one in failed), default=0)


def _show_failures(app: App, failed: Sequence[FailedScan]) -> None:
    from modelhub.cli.messages import show_error

    for one in failed:
        show_error(app, one.error)


def _print(app: App, scanned: Sequence[Scanned], *, named: set[Path]) -> None:
    """Every file that was named or can carry pickles; of a folder's other files only the number."""
    without = 0
    for one in scanned:
        if one.report is None and one.path not in named:
            without += 1
            continue
        _print_one(app, one)
    numbers = Counter(one.verdict for one in scanned if one.report is not None)
    counted = ", ".join(f"{numbers[word]:,} {word}" for word in _COLORS if numbers[word])
    if without or len(scanned) > 1:
        others = f"{without:,} that can carry no pickle" if without else ""
        parts = ", ".join(filter(None, (counted, others)))
        app.say(f"{plural(len(scanned), 'file')}: {parts or 'none can carry a pickle'}")


def _print_one(app: App, one: Scanned) -> None:
    verdict = click.style(one.verdict, fg=_COLORS[one.verdict], bold=True)
    remark = f" ({one.format} carries no code)" if one.report is None else ""
    click.echo(f"{clean(one.path)}: {verdict}{remark}", color=app.color)
    if one.report is not None:
        from modelhub.services.scan import report_document

        print_fields(scan_lines(report_document(one.report)), indent=2)
    if one.opinion is not None:
        print_fields(_opinion_lines(one.report, one.opinion), indent=2)


def _opinion_lines(report: ScanReport | None, opinion: Opinion) -> list[tuple[str, object]]:
    """What picklescan says, and each name on which it differs."""
    said = opinion.verdict.value if opinion.verdict is not None else "no verdict"
    lines: list[tuple[str, object]] = [
        ("picklescan", f"{said}: {opinion.fault}" if opinion.fault else said)
    ]
    return lines + [
        ("differs", f"{one['module']}.{one['name']}: {one['ours']} here, {one['theirs']} there")
        for one in _differences(report, opinion)
    ]


def _differences(report: ScanReport | None, opinion: Opinion) -> list[dict[str, str]]:
    from modelhub.formats.scan.second import differences

    if report is None or opinion.verdict is None:
        return []
    return [
        {
            "module": one.module,
            "name": one.name,
            "ours": one.ours or "not found",
            "theirs": one.theirs or "not found",
        }
        for one in differences(report, opinion)
    ]


def document(one: Scanned) -> dict[str, Any]:
    """The JSON form of a file that was scanned."""
    from modelhub.services.scan import report_document

    report = _NO_PICKLES if one.report is None else report_document(one.report)
    found: dict[str, Any] = {"file": str(one.path), "format": one.format.value, **report}
    found["recorded"] = one.recorded
    if one.opinion is not None:
        found["second_opinion"] = {
            "verdict": one.opinion.verdict,
            "fault": one.opinion.fault,
            "differences": _differences(one.report, one.opinion),
        }
    return found


_NO_PICKLES: dict[str, Any] = {
    "verdict": "safe",
    "scanner": None,
    "pickles": 0,
    "findings": [],
    "faults": [],
    "notices": [],
    "left_out": 0,
}
